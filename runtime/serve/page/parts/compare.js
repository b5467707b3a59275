// Two pictures of the same thing with a line between them that can be dragged; pinch, double tap or wheel zooms.

import { button, h, icon, picture } from "./dom.js";
import { say } from "./words.js";

const MOST = 8; // times larger than fitted
const STEP = 1.5;
const DOUBLE_TAP = 300; // milliseconds

// The zoom stays between fitted and MOST, and the picture never leaves the frame.
export function bounded(view, width, height) {
  const scale = Math.min(MOST, Math.max(1, view.scale));
  const inside = (shift, side) => Math.min(0, Math.max(side * (1 - scale), shift));
  return { scale, x: inside(view.x, width), y: inside(view.y, height) };
}

// The view in which what lies under (x, y) stays there.
export function zoomed(view, factor, x, y) {
  const scale = Math.min(MOST, Math.max(1, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
}

export function compare({ before, after, zoomable = true, description = "" }) {
  const layers = [picture(after, description), picture(before)];
  const upper = h("div", { class: "layer before" }, layers[1]);
  const line = h("div", {
    class: "divider",
    role: "slider",
    tabindex: "0",
    "aria-label": say("compare.line"),
    "aria-valuemin": "0",
    "aria-valuemax": "100",
  }, h("span", { class: "knob" }));
  const labels = [h("span", { class: "label left" }, say("before")), h("span", { class: "label right" }, say("after"))];
  const frame = h("div", { class: "compare" }, h("div", { class: "layer" }, layers[0]), upper, line, ...labels);

  let place = 0.5;
  let view = { scale: 1, x: 0, y: 0 };
  let moving = null;
  const fingers = new Map();
  let lastTap = { time: 0, x: 0, y: 0 };

  const draw = () => {
    const { clientWidth: width, clientHeight: height } = frame;
    view = bounded(view, width, height);
    for (const layer of layers) layer.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    upper.style.clipPath = `inset(0 ${(1 - place) * 100}% 0 0)`;
    line.style.left = `${place * 100}%`;
    line.setAttribute("aria-valuenow", String(Math.round(place * 100)));
    labels[0].classList.toggle("faint", place < 0.12);
    labels[1].classList.toggle("faint", place > 0.88);
    frame.classList.toggle("zoomed", view.scale > 1);
    frame.dataset.scale = view.scale.toFixed(2);
  };
  const within = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const divide = (share) => {
    place = Math.min(1, Math.max(0, share));
    draw();
  };
  const zoom = (factor, x = frame.clientWidth / 2, y = frame.clientHeight / 2) => {
    view = zoomed(view, factor, x, y);
    draw();
  };
  const fit = () => {
    view = { scale: 1, x: 0, y: 0 };
    draw();
  };

  const middle = () => {
    const points = [...fingers.values()];
    const sum = points.reduce((all, point) => ({ x: all.x + point.x, y: all.y + point.y }));
    const [a, b] = points;
    return {
      x: sum.x / points.length,
      y: sum.y / points.length,
      apart: points.length > 1 ? Math.hypot(a.x - b.x, a.y - b.y) : 0,
    };
  };
  const onLine = (event, point) =>
    event.target.closest?.(".divider") || Math.abs(point.x - place * frame.clientWidth) < 28;

  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const point = within(event);
    frame.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, point);
    moving = fingers.size > 1 ? "view" : onLine(event, point) || view.scale === 1 ? "line" : "view";
    if (moving === "line" && onLine(event, point)) line.focus({ preventScroll: true });
  });
  frame.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const earlier = middle();
    fingers.set(event.pointerId, within(event));
    const now = middle();
    if (moving === "line") return divide(now.x / frame.clientWidth);
    if (zoomable && earlier.apart && now.apart) view = zoomed(view, now.apart / earlier.apart, earlier.x, earlier.y);
    view = { ...view, x: view.x + now.x - earlier.x, y: view.y + now.y - earlier.y };
    draw();
  });
  const lifted = (event) => {
    const point = fingers.get(event.pointerId);
    if (!fingers.delete(event.pointerId) || fingers.size) return;
    const now = { time: event.timeStamp, ...point };
    const near = Math.hypot(now.x - lastTap.x, now.y - lastTap.y) < 30;
    if (zoomable && near && now.time - lastTap.time < DOUBLE_TAP) view.scale > 1 ? fit() : zoom(3, now.x, now.y);
    lastTap = now;
    moving = null;
  };
  frame.addEventListener("pointerup", lifted);
  frame.addEventListener("pointercancel", lifted);
  frame.addEventListener("wheel", (event) => {
    if (!zoomable) return;
    event.preventDefault();
    const { x, y } = within(event);
    zoom(Math.exp(-event.deltaY / 400), x, y);
  }, { passive: false });

  line.addEventListener("keydown", (event) => {
    const pan = { ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    const moves = { ArrowLeft: -0.05, ArrowRight: 0.05, PageDown: -0.2, PageUp: 0.2 };
    if (event.key in moves && !event.shiftKey) divide(place + moves[event.key]);
    else if (event.key === "Home") divide(0);
    else if (event.key === "End") divide(1);
    else if (zoomable && (event.key === "+" || event.key === "=")) zoom(STEP);
    else if (zoomable && event.key === "-") zoom(1 / STEP);
    else if (zoomable && event.key === "0") fit();
    else if (pan || event.key in moves) {
      const [x, y] = pan ?? [event.key === "ArrowLeft" ? 60 : -60, 0];
      view = { ...view, x: view.x + x, y: view.y + y };
      draw();
    } else return;
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(frame);
  draw();

  const tool = (name, work) => button("tool", icon(name), work, { "aria-label": say(`compare.${name}`) });
  const tools = zoomable
    ? h("div", { class: "tools" }, tool("minus", () => zoom(1 / STEP)), tool("fit", fit), tool("plus", () => zoom(STEP)))
    : null;
  return { element: h("div", { class: "comparing" }, frame, tools), frame, divide, layers };
}

