// The customer's last screen: what has become of the photos.

import { button, h, icon } from "../parts/dom.js";
import { heading } from "../parts/page.js";
import { say } from "../parts/words.js";

const STAYS = 8000; // milliseconds

export function goodbye(app, linkIsKept = false) {
  const home = () => app.home();
  const timer = setTimeout(home, STAYS);
  return {
    element: h("section", { class: "page goodbye" },
      h("div", { class: "middle" },
        h("span", { class: "seal" }, icon("check")),
        heading(say("goodbye.title")),
        h("p", { class: "lead" }, say(linkIsKept ? "goodbye.text-link" : "goodbye.text")),
        button("plain large", say("goodbye.again"), home))),
    leave: () => clearTimeout(timer),
  };
}
