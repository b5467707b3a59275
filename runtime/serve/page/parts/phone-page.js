// The one screen of a page on a customer's phone.

import { button, h, icon } from "./dom.js";
import { say } from "./words.js";

export const place = document.getElementById("screen");
export const path = location.pathname.replace(/\/$/, "");

export function show(drawing, title, text, ...more) {
  place.replaceChildren(
    h("div", { class: "phone-page" }, h("span", { class: `seal ${drawing}` }, icon(drawing)),
      h("h1", { tabindex: "-1" }, title), h("p", { class: "lead" }, text), ...more));
  place.querySelector("h1").focus();
}

export const unreachable = () =>
  show("close", say("phone.lost"), "", button("primary", say("phone.again"), () => location.reload()));
