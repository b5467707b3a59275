// A question over the page. The rest of it cannot be reached until it is answered.

import { button, h } from "./dom.js";

export function dialog({ title, text, choices, oncancel, look = "" }) {
  const message = h("p", { id: "dialog-text" }, text);
  const element = h("dialog", { class: `dialog ${look}`, "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
    h("h2", { id: "dialog-title" }, title),
    message,
    h("div", { class: "choices" }, choices.map(({ look, words, work, name }) =>
      button(look, words, () => {
        close();
        work();
      }, { "data-choice": name }))),
  );
  const close = () => {
    element.close();
    element.remove();
  };
  const cancel = () => {
    close();
    (oncancel ?? choices[0].work)();
  };
  element.addEventListener("cancel", (event) => {
    event.preventDefault();
    cancel();
  });
  element.addEventListener("click", (event) => event.target === element && cancel());
  document.body.append(element);
  element.showModal();
  return { close, say: (sentence) => message.replaceChildren(sentence) };
}
