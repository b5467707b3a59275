// The customer's last screen: what has become of the photos.

import { button, h, icon } from "../parts/dom.js";
import { heading } from "../parts/page.js";
import { say } from "../parts/words.js";

const STAYS = 8000; // milliseconds

// kept: what goes on without the customer: "link", "printing" or nothing.
export function goodbye(app, kept = "") {
  const home = () => app.home();
  const timer = setTimeout(home, STAYS);
  return {
    element: h("section", { class: "page goodbye" },
      h("div", { class: "middle" },
        h("span", { class: "seal" }, icon("check")),
        heading(say("goodbye.title")),
        h("p", { class: "lead" }, say({ link: "goodbye.text-link", printing: "goodbye.text-printing" }[kept] ?? "goodbye.text")),
        button("plain large", say("goodbye.again"), home))),
    leave: () => clearTimeout(timer),
  };
}
