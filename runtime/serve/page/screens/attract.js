// What is seen while nobody is there: a sample before and after, and one way in.

import { compare } from "../parts/compare.js";
import { button, h, repeatedly } from "../parts/dom.js";
import { heading, languageBar } from "../parts/page.js";
import { ask } from "../parts/server.js";
import { say, spoken } from "../parts/words.js";

const PERIOD = 9000; // milliseconds for the line to go there and back
const LOOK = 4000; // milliseconds between two looks at the server's health

export function attract(app) {
  const sample = compare({
    before: "/page/pictures/sample-before.jpg",
    after: "/page/pictures/sample-after.jpg",
    zoomable: false,
    description: say("attract.sample"),
  });
  const start = button("primary huge", say("attract.start"), begin);
  const note = h("p", { class: "note", role: "status" });
  const element = h("section", { class: "attract" },
    h("div", { class: "sample" }, sample.element),
    h("div", { class: "welcome" },
      languageBar(app),
      h("div", { class: "words" },
        h("p", { class: "brand" }, app.kiosk.name),
        heading(say("attract.title")),
        h("p", { class: "lead" }, say("attract.text")),
        start,
        note,
      ),
      h("p", { class: "privacy" }, say("attract.privacy")),
    ),
  );

  async function begin() {
    start.disabled = true;
    try {
      await app.begin();
    } catch (error) {
      start.disabled = false;
      note.textContent = error.status === 0 ? say("attract.wait") : app.sentence(error);
    }
  }

  let wasLost = false;
  async function look() {
    const health = await ask("GET", "/health").catch((error) => error);
    if (app.current.element !== element) return;
    const well = health.state === "ok";
    if (well && wasLost) return location.reload(); // the server was started again, perhaps with other settings
    wasLost ||= health.status === 0;
    start.disabled = !well;
    note.textContent = well ? "" : say(health.status === 0 ? "attract.lost" : "attract.wait");
  }

  element.querySelector(".words").addEventListener("click", (event) => {
    if (event.target !== start && !start.disabled) begin();
  });

  // A language that nobody went on with is not the next customer's.
  const ownLanguage = setTimeout(() => spoken() !== app.kiosk.language && app.home(), 1000 * app.kiosk.idle_seconds);
  let frame;
  let touched = -Infinity;
  sample.frame.addEventListener("pointerdown", () => {
    touched = Infinity;
  });
  sample.frame.addEventListener("pointerup", () => {
    touched = performance.now();
  });
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const swing = (now) => {
    if (!still.matches && now - touched > 5000) sample.divide(0.5 + 0.32 * Math.sin((2 * Math.PI * now) / PERIOD));
    frame = requestAnimationFrame(swing);
  };
  let stopLooking = () => {};
  return {
    element,
    entered: () => {
      stopLooking = repeatedly(LOOK, look);
      frame = requestAnimationFrame(swing);
    },
    leave: () => {
      stopLooking();
      clearTimeout(ownLanguage);
      cancelAnimationFrame(frame);
    },
  };
}
