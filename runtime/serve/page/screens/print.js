// Paper, copies, what lands on the paper, and how the printer gets on.

import { button, h, icon, insist, listing, picture, repeatedly } from "../parts/dom.js";
import { page } from "../parts/page.js";
import { ask } from "../parts/server.js";
import { say, sayCode } from "../parts/words.js";

const LOOK = 3000; // milliseconds between two looks at the printer

export function print(app) {
  const { visit, status, kiosk } = app;
  const { papers, copies: most } = kiosk.printing;
  const made = status.result.number;
  let paper = papers[0].name;
  let copies = 1;

  const sheet = picture("", say("print.preview"));
  const state = h("p", { class: "note", role: "status" });
  const count = h("output", { class: "count" }, "1");
  const fewer = button("tool", icon("minus"), () => take(copies - 1), { "aria-label": say("print.fewer") });
  const more = button("tool", icon("plus"), () => take(copies + 1), { "aria-label": say("print.more") });
  const start = button("primary large", [icon("print"), say("print.start")], send);
  const jobs = h("ul", { class: "jobs" });
  const sizes = h("div", { class: "papers", role: "group", "aria-label": say("print.paper") }, papers.map((one) =>
    button("choice", one.label, () => choosePaper(one.name), { "data-paper": one.name })));

  const used = () => (app.status?.prints ?? []).filter((one) => !["failed", "cancelled"].includes(one.state))
    .reduce((sum, one) => sum + one.copies, 0);
  function take(number) {
    const free = Math.max(0, most - used());
    copies = Math.max(1, Math.min(number, Math.max(1, free)));
    count.textContent = String(copies);
    fewer.disabled = copies <= 1;
    more.disabled = copies >= free;
    start.disabled = free === 0;
    if (free === 0) state.textContent = say("print.limit", { n: most });
  }
  function choosePaper(name) {
    paper = name;
    for (const one of sizes.children) one.setAttribute("aria-pressed", String(one.dataset.paper === name));
    insist(sheet, visit.printUrl(made, paper, 960));
  }
  async function send() {
    start.disabled = true;
    try {
      await visit.print(paper, copies);
    } catch (error) {
      app.fail(error);
    }
    take(copies);
  }
  const again = async (work) => {
    try {
      await work();
    } catch (error) {
      app.fail(error);
    }
  };
  const job = ({ mayRepeat, ...one }) => {
    const text = sayCode("print.state", one.state, one.message);
    const open = ["waiting", "printing", "paper-out", "stopped"].includes(one.state);
    const label = papers.find((size) => size.name === one.paper)?.label ?? one.paper;
    return h("li", { class: `job ${one.state}`, "data-job": one.id },
      h("span", {}, h("strong", {}, `${label}, ${say("print.count", { n: one.copies })}`), text),
      open
        ? button("plain", say("print.cancel"), () => again(() => visit.cancelPrint(one.id)))
        : button("plain", say("print.again"), () => again(() => visit.printAgain(one.id)), { disabled: !mayRepeat }));
  };
  const list = listing(jobs, job);

  const element = page(app, "print", { title: say("print.title"), back: () => app.show("result") },
    h("div", { class: "workbench" },
      h("div", { class: "looking" }, h("div", { class: "stage paper-stage" }, sheet)),
      h("div", { class: "controls" },
        h("h2", {}, say("print.paper")), sizes,
        h("h2", {}, say("print.copies")), h("div", { class: "counter" }, fewer, count, more),
        state, jobs, start)));

  async function look() {
    const printer = await ask("GET", "/api/printer").catch(() => null);
    if (!printer || app.current.element !== element) return;
    const well = ["ready", "printing"].includes(printer.state);
    const isSaid = app.status.prints.some((one) => ["paper-out", "stopped"].includes(one.state));
    if (used() < most) state.textContent = well || isSaid ? "" : sayCode("printer", printer.state, printer.message);
  }
  let stopLooking = () => {};
  return {
    element,
    entered: () => {
      choosePaper(paper);
      take(1);
      stopLooking = repeatedly(LOOK, look);
    },
    update: (news) => {
      list(news.prints.map((one) => ({ ...one, mayRepeat: used() + one.copies <= most })));
      take(copies);
    },
    leave: () => stopLooking(),
  };
}
