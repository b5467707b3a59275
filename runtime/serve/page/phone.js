// On the customer's phone: one photo goes to the kiosk.

import { button, h } from "./parts/dom.js";
import { path, show, unreachable } from "./parts/phone-page.js";
import { ask } from "./parts/server.js";
import { LANGUAGES, preferred, say, sayCode, speak } from "./parts/words.js";

const LOOK = 4000; // milliseconds between two looks whether the code still works
const STALLED = 120_000; // milliseconds without progress until sending is given up; what is buffered makes none

let most = Infinity;
let looking;

function offer(trouble = "") {
  const input = h("input", { type: "file", accept: "image/*", class: "hidden-input", id: "file" });
  input.addEventListener("change", () => input.files[0] && send(input.files[0]));
  show("phone", say("phone.title"), say("phone.text"),
    h("p", { class: "note trouble", role: "alert" }, trouble),
    h("label", { class: "button primary huge", for: "file" }, input, say("phone.choose")),
    h("p", { class: "privacy" }, say("phone.privacy")));
}

function send(file) {
  if (file.size > most) return offer(say("error.too-large"));
  clearInterval(looking);
  const bar = h("progress", { max: "1", value: "0", "aria-label": say("phone.sending") });
  const text = h("p", { role: "status" }, "0 %");
  const request = new XMLHttpRequest();
  request.open("POST", `${path}/photo`);
  let stalled;
  const moves = () => {
    clearTimeout(stalled);
    stalled = setTimeout(() => request.abort(), STALLED);
  };
  request.upload.onprogress = (event) => {
    moves();
    if (!event.lengthComputable) return;
    bar.value = event.loaded / event.total;
    text.textContent = `${Math.round(100 * bar.value)} %`;
  };
  const fail = () => {
    let error = {};
    try {
      error = JSON.parse(request.responseText).error;
    } catch {
      // The answer did not come from the server, or none came.
    }
    offer(error.code ? sayCode("error", error.code, error.message) : say("phone.lost"));
    look();
  };
  request.onloadend = () => clearTimeout(stalled);
  request.onload = () => (request.status < 300 ? done() : fail());
  request.onerror = request.onabort = request.ontimeout = fail;
  show("phone", say("phone.sending"), say("phone.wait"), bar, text,
    button("plain", say("phone.stop"), () => request.abort()));
  request.send(file);
  moves();
}

const done = () => {
  clearInterval(looking);
  show("check", say("phone.done"), say("phone.done.text"));
};
const gone = () => {
  clearInterval(looking);
  show("close", say("phone.gone"), say("phone.gone.text"));
};

async function look() {
  clearInterval(looking);
  looking = setInterval(async () => {
    const { state } = await ask("GET", `${path}/status`).catch((error) => ({ state: error.status === 404 ? "gone" : "open" }));
    if (state === "gone") gone();
  }, LOOK);
}

async function start() {
  const status = await ask("GET", `${path}/status`).catch((error) => ({ state: error.status === 404 ? "gone" : "lost" }));
  await speak(preferred(Object.keys(LANGUAGES), status.language ?? "en"));
  document.title = say("phone.title");
  if (status.state === "used") return done();
  if (status.state === "gone") return gone();
  if (status.state === "lost") return unreachable();
  most = status.max_megabytes * 1e6;
  offer();
  look();
}

start();
