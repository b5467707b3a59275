// While the photo is being looked at: what happens, and how far it is.

import { exchange, h, picture } from "../parts/dom.js";
import { page } from "../parts/page.js";
import { has, say } from "../parts/words.js";

export const stageOf = (status) => {
  if (status.place > 1) return say("place", { n: status.place });
  if (status.stage === "network" && status.total > 1) {
    return say("stage.network-of", { done: Math.min(status.done + 1, status.total), total: status.total });
  }
  return has(`stage.${status.stage}`) ? say(`stage.${status.stage}`) : say("stage.queued");
};

export function working(app, uploading = "") {
  const photo = picture("", say("your-photo"));
  const text = h("p", { class: "stage-text", role: "status" }, say(uploading ? "stage.upload" : "stage.queued"));
  const frame = h("div", { class: "developing" }, photo, h("span", { class: "sweep" }));
  const element = page(app, "working", { title: say("working.title") },
    h("div", { class: "middle" }, frame, text, h("div", { class: "bar", "aria-hidden": "true" }, h("i"))));
  return {
    element,
    photo: uploading ? app.status.photo?.number : undefined,
    update: (status) => {
      if (uploading && !["queued", "working"].includes(status.state)) return;
      text.textContent = stageOf(status);
      if (!status.photo) return;
      exchange(photo, app.visit.photoUrl(status.photo.number, 960)).then((outcome) => {
        if (outcome === "shown") frame.classList.add("shown");
      });
    },
  };
}
