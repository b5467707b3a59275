// What the screens of a visit have in common: a title between "back" and "finish".

import { dialog } from "./dialog.js";
import { button, h, icon } from "./dom.js";
import { LANGUAGES, say, speak, spoken } from "./words.js";

export const heading = (text) => h("h1", { tabindex: "-1" }, text);

export function page(app, name, { title, back = null }, ...content) {
  const backwards = back
    ? button("quiet back", [icon("back"), h("span", {}, say("back"))], back)
    : h("span");
  const end = button("quiet end", [icon("delete"), h("span", {}, say("delete"))], () => app.askToEnd());
  return h("section", { class: `page ${name}` },
    h("header", {}, backwards, heading(title), h("div", { class: "side" }, languageButton(app), end)),
    ...content,
  );
}

export const languageBar = (app) =>
  h("nav", { class: "languages", "aria-label": say("language") }, offered(app).map((code) =>
    button("language", LANGUAGES[code] ?? code, () => change(app, code), {
      lang: code,
      "data-language": code,
      "aria-pressed": String(code === spoken()),
    }),
  ));

const languageButton = (app) =>
  button("quiet globe", [icon("globe"), h("span", { class: "sr" }, say("language"))], () =>
    dialog({
      title: say("language"),
      text: "",
      look: "languages-dialog",
      choices: offered(app).map((code) => ({
        look: code === spoken() ? "primary" : "plain",
        words: LANGUAGES[code] ?? code,
        name: code,
        work: () => change(app, code),
      })),
      oncancel: () => {},
    }));

async function change(app, code) {
  if (await speak(code)) app.show(app.current.name, ...app.current.details);
}

// In the order of the names below; others come last.
const offered = (app) => {
  const order = Object.keys(LANGUAGES);
  const rank = (code) => (order.includes(code) ? order.indexOf(code) : order.length);
  return [...app.kiosk.languages].sort((a, b) => rank(a) - rank(b));
};
