// The finished photo at full size, beside what it was; and where it goes.

import { compare } from "../parts/compare.js";
import { button, h, icon, insist } from "../parts/dom.js";
import { warningLines } from "../parts/faces.js";
import { page } from "../parts/page.js";
import { say } from "../parts/words.js";
import { stageOf } from "./working.js";

const LARGEST = 4096;

const sameChoice = (made, choice) =>
  made && made.state !== "failed" && made.preset === choice.preset && made.strength === choice.strength &&
  made.leave_out.length === choice.leaveOut.size && made.leave_out.every((index) => choice.leaveOut.has(index));

export function result(app) {
  const { visit, status, choice, kiosk } = app;
  const { photo } = status;
  const view = compare({ before: "", after: "", description: say("restored-photo") });
  const text = h("p", { class: "stage-text", role: "status" }, say("stage.queued"));
  const cover = h("div", { class: "cover" }, text, h("div", { class: "bar", "aria-hidden": "true" }, h("i")));
  const stage = h("div", { class: "stage" }, view.element);
  const warnings = h("ul", { class: "warnings" });
  const way = (name, drawing, work, look = "plain large") =>
    button(look, [icon(drawing), say(`result.${name}`)], work, { "data-way": name });
  const ways = h("div", { class: "ways" },
    kiosk.printing ? way("print", "print", () => app.show("print"), "primary large") : null,
    kiosk.take_home ? way("take-home", "phone", () => app.show("takeHome"), kiosk.printing ? "plain large" : "primary large") : null,
    way("change", "change", () => app.show("adjust")),
    way("end", "check", () => app.askToEnd()),
  );
  const element = page(app, "result", { title: say("result.title"), back: () => app.show("adjust") },
    h("div", { class: "workbench" },
      h("div", { class: "looking" }, stage, warnings),
      h("div", { class: "controls" }, h("p", { class: "hint" }, say("result.hint")), ways)),
    cover);

  let wanted = Infinity; // the number of the result that is waited for
  const set = (ready) => {
    element.classList.toggle("ready", ready);
    for (const one of ways.children) one.disabled = !ready;
  };
  const fail = (error) => {
    app.show("adjust");
    app.fail(error);
  };
  return {
    element,
    entered: async () => {
      set(false);
      insist(view.layers[1], visit.photoUrl(photo.number, LARGEST));
      if (!sameChoice(app.status.result, choice)) {
        try {
          wanted = (await visit.restore(choice)).result.number;
        } catch (error) {
          if (app.current.element === element) fail(error);
        }
      } else wanted = app.status.result.number;
      if (app.status && app.current.element === element) app.current.update(app.status);
    },
    update: async (news) => {
      const made = news.result;
      if (!made || made.number < wanted) return;
      text.textContent = stageOf(news);
      if (made.state === "failed") return fail(made.error);
      if (made.state !== "done") return;
      warnings.replaceChildren(...warningLines(made.faces));
      const [after] = view.layers;
      const outcome = await app.arrive(after, visit.resultUrl(made.number, LARGEST));
      if (outcome === "shown") set(true);
      if (outcome === "failed" && app.current.element === element) fail({ code: "unavailable" });
    },
  };
}
