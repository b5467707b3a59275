// Elements by function calls. Text is always set as text, never as HTML.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const button = (look, text, onclick, properties = {}) =>
  h("button", { type: "button", class: look, onclick, ...properties }, text);

const PATHS = {
  back: "M15 5l-7 7 7 7",
  onward: "M9 5l7 7-7 7",
  card: "M7 3h7l4 4v14H7zM10 3v4M13 3v4",
  change: "M4 8h10M18 8h2M4 16h2M10 16h10M16 5.5v5M8 13.5v5",
  check: "M5 12.5l4.5 4.5L19 7",
  close: "M6 6l12 12M18 6L6 18",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  file: "M4 6h5l2 2h9v11H4z",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  globe: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M3 12h18M12 3c-5 5-5 13 0 18M12 3c5 5 5 13 0 18",
  minus: "M6 12h12",
  phone: "M8 3h8v18H8zM11 18h2",
  plus: "M12 6v12M6 12h12",
  print: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z",
  scan: "M4 13h16v6H4zM6 13l3-8h11",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.2v.3",
};

export function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.classList.add("icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  drawing.append(path);
  return drawing;
}

// A picture that fades in when it has arrived, and says nothing when it cannot.
export function picture(source, description = "", look = "") {
  const image = h("img", { alt: description, class: `picture ${look}`, draggable: "false" });
  image.addEventListener("load", () => image.classList.add("loaded"));
  if (source) image.src = source;
  return image;
}

// A picture that has arrived, and is decoded, so that it does not flash. A browser may put decoding off for as long as
// it draws nothing: nobody waits for that.
const DECODING = 2000;

const arrived = async (image, source) => {
  await new Promise((done, failed) => {
    image.addEventListener("load", done);
    image.addEventListener("error", failed);
    image.src = source;
  });
  await Promise.race([image.decode(), pause(DECODING)]);
};

const exchanges = new WeakMap();

// The same, drawn over what was there before, without a flash in between. Answers "shown", "failed", or "late" if
// another picture was wanted in the meantime.
export function exchange(image, source) {
  const pending = exchanges.get(image);
  if (pending?.source === source) return pending.outcome;
  const isWanted = () => exchanges.get(image)?.source === source;
  const arriving = new Image();
  const outcome = arrived(arriving, source).then(
    () => {
      if (!isWanted()) return "late";
      image.src = source;
      image.classList.add("loaded");
      return "shown";
    },
    () => {
      if (!isWanted()) return "late";
      exchanges.delete(image);
      return "failed";
    },
  );
  exchanges.set(image, { source, outcome, arriving });
  return outcome;
}

// No longer wait for a picture: its request is cancelled.
export function abandon(image) {
  const pending = exchanges.get(image);
  exchanges.delete(image);
  if (pending) pending.arriving.src = "";
}

// The same, tried again a few times: the server may be busy, or start again.
export async function insist(image, source, tries = 4) {
  const outcome = await exchange(image, source);
  if (outcome !== "failed" || !tries) return outcome;
  await pause(1500);
  return exchanges.has(image) || !image.isConnected ? "late" : insist(image, source, tries - 1);
}

// A function that shows a row of plain values each as an element. The element of a row that is still there stays as it
// is, and with it the focus, and the finger that is about to press it.
export function listing(place, draw) {
  let shown = new Map();
  return (rows) => {
    const keyed = rows.map((row) => [JSON.stringify(row), row]);
    const next = new Map(keyed.map(([key, row]) => [key, shown.get(key) ?? draw(row)]));
    for (const [key, element] of shown) if (!next.has(key)) element.remove();
    [...next.values()].forEach((element, i) => {
      if (place.children[i] !== element) place.insertBefore(element, place.children[i] ?? null);
    });
    shown = next;
  };
}

// Do something at once, and again and again with a pause after each time; answers how to stop it.
export function repeatedly(milliseconds, work) {
  let timer = null;
  let stopped = false;
  const next = async () => {
    await work();
    if (!stopped) timer = setTimeout(next, milliseconds);
  };
  next();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
