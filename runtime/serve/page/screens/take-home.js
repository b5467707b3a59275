// The code that a phone scans to fetch the result.

import { button, h, icon } from "../parts/dom.js";
import { page } from "../parts/page.js";
import { say } from "../parts/words.js";

export function takeHome(app) {
  const { visit, kiosk } = app;
  const code = h("img", { class: "qr large", alt: say("take.code") });
  const left = h("p", { class: "note", role: "status" });
  const element = page(app, "take", { title: say("take.title"), back: () => app.show("result") },
    h("div", { class: "middle" },
      h("div", { class: "card qr-card" }, code,
        h("ol", { class: "steps" },
          kiosk.wifi ? h("li", {}, say("bring.phone.wifi", { name: kiosk.wifi })) : null,
          h("li", {}, say("take.scan")), h("li", {}, say("take.save")), h("li", {}, say("take.done")))),
      left,
      button("primary large", [icon("check"), say("result.end")], () => app.askToEnd())));
  const show = ({ url, qr }) => {
    code.dataset.url = url;
    code.src = `${qr}?${url.slice(-22)}`;
  };
  return {
    element,
    patience: 2,
    entered: async () => {
      try {
        show(await visit.takeHome());
      } catch (error) {
        if (app.current.element !== element) return;
        app.show("result");
        app.fail(error);
      }
    },
    update: (status) => {
      if (status.take_home) left.textContent = say("take.left", { n: Math.max(1, Math.ceil(status.take_home.seconds_left / 60)) });
    },
  };
}
