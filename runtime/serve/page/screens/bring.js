// Where the photo comes from: a phone, a stick or card, the scanner, a file.

import { button, h, icon, listing, picture, repeatedly } from "../parts/dom.js";
import { page } from "../parts/page.js";
import { ask } from "../parts/server.js";
import { say } from "../parts/words.js";

const LOOK = 2000; // milliseconds between two looks for sticks and scans
const SLOW = 3000; // milliseconds that the first look may take before the other sources are shown

export function bring(app, trouble = null) {
  const { kiosk, visit } = app;
  const earlier = app.status.state === "ready" ? app.status.photo.number : undefined;
  const note = h("p", { class: "note trouble", role: "alert" }, trouble ? app.sentence(trouble) : "");
  const sources = h("div", { class: "sources" });
  const phone = kiosk.phones ? h("div", { class: "card phone-card" }) : null;
  const shelf = h("div", { class: "shelf", hidden: true });
  const choices = h("div", { class: "choices-of-source" }, phone, sources);
  const back = () => (earlier ? app.show("adjust") : app.askToEnd());
  const element = page(app, "bring", { title: say("bring.title"), back },
    note, choices, shelf);

  const send = async (work) => {
    note.textContent = "";
    try {
      await work();
    } catch (error) {
      note.textContent = app.sentence(error);
    }
  };

  // The phone's code is renewed before it runs out.
  let renewal;
  async function showPhone() {
    try {
      const link = await visit.phone();
      const code = h("img", { class: "qr", alt: say("bring.phone.code"), "data-url": link.url });
      code.src = `${link.qr}?${Date.now()}`;
      phone.replaceChildren(
        code,
        h("div", {},
          h("h2", {}, icon("phone"), say("bring.phone")),
          kiosk.wifi ? h("p", {}, say("bring.phone.wifi", { name: kiosk.wifi })) : null,
          h("p", {}, say("bring.phone.text")),
        ),
      );
      renewal = setTimeout(showPhone, Math.max(5, link.seconds_left - 20) * 1000);
    } catch (error) {
      if (app.visit === visit) renewal = setTimeout(showPhone, 3000);
    }
  }

  const file = h("input", { type: "file", accept: ["image/*", ...kiosk.suffixes].join(), class: "hidden-input", tabindex: "-1", "aria-hidden": "true" });
  file.addEventListener("change", () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    if (chosen.size > kiosk.max_megabytes * 1e6) {
      note.textContent = say("error.too-large");
      return;
    }
    app.show("working", "upload");
    visit.upload(chosen).catch((error) => app.visit === visit && app.show("bring", error));
  });

  const source = ({ kind, drawing, title, text, medium, isOpen = true }) =>
    button(`card source ${kind}`, [icon(drawing), h("span", {}, h("strong", {}, title), h("small", {}, text)), isOpen ? icon("onward") : null],
      () => (medium ? showShelf(medium) : file.click()), { disabled: !isOpen, "data-source": kind });
  sources.append(file);
  const list = listing(sources, source);

  function showSources(media) {
    const sticks = media.filter((one) => one.kind === "stick").map((medium) => (
      { kind: "stick", drawing: "card", title: medium.label || say("bring.stick"), text: say("photos", { n: medium.photos }), medium }));
    const noStick = { kind: "stick", drawing: "card", title: say("bring.stick"), text: say("bring.stick.insert"), isOpen: false };
    const scans = media.filter((one) => one.kind === "scans").map(({ photos, ...medium }) => (
      { kind: "scans", drawing: "scan", title: say("bring.scans"), text: say("bring.scans.text"), medium }));
    const own = { kind: "file", drawing: "file", title: say("bring.file"), text: say("bring.file.text") };
    list([
      ...(kiosk.media && !sticks.length ? [noStick] : []),
      ...sticks,
      ...scans,
      ...(kiosk.files === false ? [] : [own]),
    ]);
  }

  let showing = null;
  let shownPage = 0;
  let media = [];
  async function look() {
    ({ media } = await ask("GET", "/api/media").catch(() => ({ media })));
    showSources(media);
    if (!showing) return;
    if (!media.some((one) => one.id === showing.id)) closeShelf();
    else if (showing.kind === "scans") await showShelf(showing, shownPage);
  }

  function closeShelf() {
    showing = null;
    shelf.hidden = true;
    choices.hidden = false;
  }

  async function showShelf(one, number = 0) {
    const isNew = showing !== one || shownPage !== number;
    [showing, shownPage] = [one, number];
    try {
      const { photos, pages } = await ask("GET", `/api/media/${one.id}?page=${number}`);
      const { unknown } = media.find(({ id }) => id === one.id) ?? one;
      const now = [unknown, ...photos.map((photo) => photo.id)].join();
      if (showing !== one || shownPage !== number || (!isNew && now === shelf.dataset.photos)) return;
      shelf.dataset.photos = now;
      const turn = (words, to) =>
        button("plain", words, () => showShelf(one, to), { disabled: to < 0 || to >= pages });
      shelf.replaceChildren(
        h("div", { class: "shelf-head" },
          button("plain", [icon("back"), say("bring.sources")], closeShelf),
          h("h2", {}, one.kind === "scans" ? say("bring.scans") : one.label || say("bring.stick")),
          pages > 1
            ? h("div", { class: "turns" }, turn(say("bring.newer"), number - 1),
                h("span", {}, `${number + 1} / ${pages}`), turn(say("bring.older"), number + 1))
            : h("span"),
        ),
        ...(unknown ? [h("p", { class: "lead unknown" }, say("bring.scans.unknown"))] : []),
        ...(photos.length ? [] : [h("p", { class: "lead waiting" }, say(one.kind === "scans" ? "bring.scans.text" : "bring.none"))]),
        h("div", { class: "grid" }, photos.map((photo, i) =>
          button("thumb", picture(`/api/media/photos/${photo.id}/thumbnail?size=320`), () => send(() => visit.take(photo.id)), {
            "aria-label": say("bring.photo", { number: String(i + 1) }),
            "data-photo": photo.id,
          }),
        )),
      );
      choices.hidden = true;
      shelf.hidden = false;
    } catch (error) {
      closeShelf();
      note.textContent = app.sentence(error);
    }
  }

  let stopLooking = () => {};
  let slow;
  return {
    element,
    photo: earlier,
    patience: 3,
    entered: () => {
      if (phone) showPhone();
      // Sources are first shown when all of them are known, so that none moves under a finger.
      if (!kiosk.media) return showSources([]);
      slow = setTimeout(() => showSources(media), SLOW);
      stopLooking = repeatedly(LOOK, look);
    },
    leave: () => {
      stopLooking();
      clearTimeout(slow);
      clearTimeout(renewal);
    },
  };
}
