// How much of which faces is restored, and for what kind of photo. The slider needs no server: the photo and the
// full restoration lie on top of each other, and its value is how opaque the upper one is. The server blends alike.

import { around, laid } from "../parts/closeup.js";
import { abandon, button, exchange, h, icon, insist, picture } from "../parts/dom.js";
import { faceAt, faceButtons, rings, showLeftOut, warningLines } from "../parts/faces.js";
import { page } from "../parts/page.js";
import { has, say, sayCode } from "../parts/words.js";

const STEP = 320; // the previews' sizes are multiples of this, so that a server can keep them
const LARGEST = 1920;
const FACE = 320; // of the small pictures of the presets
const SMALL = 60; // pixels across, below which a ring has a small number

const presetName = (preset) => (has(`preset.${preset.name}`) ? say(`preset.${preset.name}`) : preset.name);

export function adjust(app) {
  const { visit, status, choice, kiosk } = app;
  const { photo, faces } = status;
  const wanted = faces.filter((face) => !face.left_alone);
  const before = picture("", say("your-photo"));
  const after = picture("", "");
  after.classList.add("over");
  const marks = rings(photo, faces);
  const frame = h("div", { class: "photo-frame" }, before, after, marks, h("span", { class: "thinking" }));
  const nearer = button("tool nearer", icon("fit"), () => {
    close = !close;
    lay();
  });
  const stage = h("div", { class: "stage" }, frame, nearer);
  const warnings = h("ul", { class: "warnings" });
  let close = true;
  let size = 0;
  let alive = true;

  const refresh = async () => {
    frame.classList.add("busy");
    const outcome = await app.arrive(after, visit.previewUrl(photo.number, size, choice.preset, choice.leaveOut));
    if (outcome === "late" || !alive) return;
    frame.classList.remove("busy");
    if (outcome === "failed") app.fail({ code: "unavailable" });
    else showPresets();
  };
  // The photo is shown so close that its faces fill the place, unless the customer wants to see all of it.
  const lay = () => {
    const { clientWidth: width, clientHeight: height } = stage;
    if (!width || !height) return;
    const whole = [0, 0, photo.width, photo.height];
    const near = laid(photo, around(wanted, photo), width, height);
    const place = close ? near : laid(photo, whole, width, height);
    for (const side of ["left", "top", "width", "height"]) frame.style[side] = `${place[side]}px`;
    for (const ring of marks.children) ring.classList.toggle("small", ring.offsetWidth < SMALL);
    nearer.hidden = near.closer < 1.15;
    nearer.replaceChildren(icon(close ? "fit" : "plus"));
    nearer.setAttribute("aria-label", say(close ? "compare.fit" : "adjust.closer"));
    const pixels = Math.max(place.width, place.height) * devicePixelRatio;
    const wish = Math.min(LARGEST, Math.ceil(pixels / STEP) * STEP);
    if (wish === size) return;
    size = wish;
    insist(before, visit.photoUrl(photo.number, size));
    refresh();
  };
  const blend = () => {
    after.style.opacity = String(choice.strength);
  };

  const toggle = (index) => {
    if (!choice.leaveOut.delete(index)) choice.leaveOut.add(index);
    tell();
    refresh();
  };
  const tell = () => {
    showLeftOut(element, faces, choice.leaveOut);
    warnings.replaceChildren(
      ...status.remarks.filter((remark) => remark.code !== "no-face").map((remark) =>
        h("li", { class: "remark" }, sayCode("remark", remark.code, remark.sentence))),
      ...warningLines(faces, choice.leaveOut),
    );
  };
  frame.addEventListener("click", (event) => {
    const box = frame.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * photo.width;
    const y = ((event.clientY - box.top) / box.height) * photo.height;
    const face = faceAt(faces, x, y);
    if (face) toggle(face.index);
  });

  const presets = h("div", { class: kiosk.presets.length % 3 === 1 || kiosk.presets.length < 3 ? "presets pairs" : "presets", role: "radiogroup", "aria-label": say("adjust.presets") });
  const choosePreset = (name) => {
    choice.preset = name;
    for (const one of presets.children) one.setAttribute("aria-checked", String(one.dataset.preset === name));
    for (const one of presets.children) one.tabIndex = one.dataset.preset === name ? 0 : -1;
    refresh();
  };
  for (const preset of kiosk.presets) {
    presets.append(button("preset", [picture(""), h("strong", {}, presetName(preset))], () => choosePreset(preset.name), {
      role: "radio",
      "aria-checked": String(preset.name === choice.preset),
      tabIndex: preset.name === choice.preset ? 0 : -1,
      "data-preset": preset.name,
    }));
  }
  presets.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...presets.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    choosePreset(next.dataset.preset);
  });

  const slider = h("input", {
    type: "range", min: "0", max: "100", step: "1", value: String(Math.round(choice.strength * 100)),
    class: "strength", "aria-label": say("adjust.slider"),
  });
  const fill = () => slider.style.setProperty("--filled", `${slider.value}%`);
  slider.addEventListener("input", () => {
    choice.strength = Number(slider.value) / 100;
    fill();
    blend();
  });

  const strip = faces.length
    ? h("div", { class: faces.length > 2 ? "strip many" : "strip" },
        faceButtons(faces, (index) => visit.faceUrl(photo.number, index, 160), toggle),
        h("p", {}, say("adjust.faces", { n: faces.length })))
    : null;
  const go = button("primary large", say("adjust.go"), () => app.show("result"));
  const controls = wanted.length
    ? [
        h("h2", {}, say("adjust.presets")), presets,
        h("h2", {}, say("adjust.strength")),
        h("div", { class: "sliding" }, slider,
          h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, say("before")), h("span", {}, say("after")))),
      ]
    : [h("div", { class: "empty" }, icon("warning"), h("h2", {}, say("adjust.nobody")), h("p", {}, say("adjust.nobody.text")))];
  const element = page(app, "adjust", { title: say("adjust.title"), back: () => app.show("bring") },
    h("div", { class: "workbench" },
      h("div", { class: "looking" }, stage, warnings, strip),
      h("div", { class: "controls" }, controls, go)));

  // What each preset does to the largest face; until the server has time to show it, the face as it is. One after the
  // other, since the server has one network.
  const face = wanted[0]?.index;
  for (const one of wanted.length ? presets.children : []) {
    exchange(one.querySelector("img"), visit.faceUrl(photo.number, face, FACE));
  }
  let showing = false;
  const showPresets = async () => {
    if (showing || !wanted.length) return;
    showing = true;
    for (const one of presets.children) {
      if (!alive) return;
      await insist(one.querySelector("img"), visit.faceUrl(photo.number, face, FACE, one.dataset.preset));
    }
    showing = false;
  };

  const watching = new ResizeObserver(lay);
  return {
    element,
    entered: async () => {
      fill();
      blend();
      tell();
      lay();
      watching.observe(stage);
      await refresh();
    },
    leave: () => {
      alive = false;
      watching.disconnect();
      for (const image of presets.querySelectorAll("img")) abandon(image);
    },
  };
}
