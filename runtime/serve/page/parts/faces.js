// The faces of the photo: rings in the photo, and under it one large round button for each.

import { button, h, icon, picture } from "./dom.js";
import { say, sayCode } from "./words.js";

const SHOWN = 5; // faces of one warning whose numbers are shown

export const named = (index) => String(index + 1);

const sentence = ({ code, cause, sentence: otherwise }) =>
  sayCode("warning", cause ? `${code}.${cause}` : code, sayCode("warning", code, otherwise));

// One line for each warning, with the numbers of the faces that it is about.
export function warningLines(faces, leftOut = new Set()) {
  const lines = new Map();
  for (const face of faces.filter((one) => !leftOut.has(one.index))) {
    for (const words of face.warnings.map(sentence)) lines.set(words, [...(lines.get(words) ?? []), face.index]);
  }
  return [...lines].map(([words, about]) => {
    const numbers = about.slice(0, SHOWN).map((index) => h("b", {}, named(index)));
    if (about.length > SHOWN) numbers.push(h("b", {}, `+${about.length - SHOWN}`));
    return h("li", {}, h("span", { class: "about" }, numbers), words);
  });
}

export function rings(photo, faces) {
  const layer = h("div", { class: "rings", "aria-hidden": "true" });
  for (const face of faces) {
    const [x, y, radius] = face.circle;
    const ring = h("span", { class: "ring" }, h("b", {}, named(face.index)));
    ring.style.left = `${(100 * (x - radius)) / photo.width}%`;
    ring.style.top = `${(100 * (y - radius)) / photo.height}%`;
    ring.style.width = `${(200 * radius) / photo.width}%`;
    ring.style.height = `${(200 * radius) / photo.height}%`;
    ring.dataset.face = face.index;
    layer.append(ring);
  }
  return layer;
}

export function faceButtons(faces, pictureOf, toggle) {
  return h("div", { class: "faces", role: "group", "aria-label": say("faces.group") }, faces.map((face) =>
    button("face", [picture(pictureOf(face.index)), h("b", {}, named(face.index)), mark(face)], () => toggle(face.index), {
      "data-face": String(face.index),
      "aria-label": say("faces.one-face", { number: named(face.index) }),
      disabled: face.left_alone,
    }),
  ));
}

const mark = (face) => (face.warnings.length ? h("span", { class: "mark" }, icon("warning")) : null);

// Show which faces are left out, in the photo and under it.
export function showLeftOut(root, faces, leftOut) {
  for (const element of root.querySelectorAll("[data-face]")) {
    const face = faces.find((one) => one.index === Number(element.dataset.face));
    const out = leftOut.has(face.index) || face.left_alone;
    element.classList.toggle("out", out);
    if (element.matches("button")) element.setAttribute("aria-pressed", String(!out));
  }
}

// The face whose ring holds a point of the photo, the smallest if several do.
export const faceAt = (faces, x, y) =>
  faces
    .filter((face) => !face.left_alone && Math.hypot(x - face.circle[0], y - face.circle[1]) <= face.circle[2] * 1.15)
    .sort((a, b) => a.circle[2] - b.circle[2])[0];
