// The kiosk's page: one customer after the other, from the attract screen back to it.

import { dialog } from "./parts/dialog.js";
import { insist, pause } from "./parts/dom.js";
import { watchIdle } from "./parts/idle.js";
import { ask, follow, Visit } from "./parts/server.js";
import { say, sayCode, speak } from "./parts/words.js";
import { adjust } from "./screens/adjust.js";
import { attract } from "./screens/attract.js";
import { bring } from "./screens/bring.js";
import { goodbye } from "./screens/goodbye.js";
import { print } from "./screens/print.js";
import { result } from "./screens/result.js";
import { takeHome } from "./screens/take-home.js";
import { working } from "./screens/working.js";

const SCREENS = { attract, bring, working, adjust, result, print, takeHome, goodbye };
const REMEMBERED = "visit";

// Prints that are on their way.
const openPrints = (status) =>
  (status?.prints ?? []).filter((one) => ["waiting", "printing", "paper-out", "stopped"].includes(one.state));

// The customer waits for the machine, not the machine for the customer.
const isBusy = (status) =>
  ["queued", "working"].includes(status?.state) ||
  ["queued", "working"].includes(status?.result?.state) ||
  openPrints(status).length > 0;

const place = document.getElementById("screen");
const lost = document.getElementById("lost");

const app = {
  kiosk: null,
  visit: null,
  status: null,
  choice: null,
  refused: null, // the number of the last photo of which the customer knows that it could not be taken
  idle: null,
  current: null,
  stopFollowing: () => {},

  show(name, ...details) {
    this.current?.leave?.();
    const screen = SCREENS[name](this, ...details);
    this.current = { name, details, ...screen };
    document.body.dataset.screen = name;
    place.replaceChildren(screen.element);
    this.idle?.patient(screen.patience ?? 1);
    screen.entered?.();
    if (this.status) screen.update?.(this.status);
    place.querySelector("h1")?.focus({ preventScroll: true });
  },

  async begin() {
    const [visit, status] = await Visit.begin();
    this.take(visit, status);
  },

  take(visit, status) {
    this.visit = visit;
    sessionStorage.setItem(REMEMBERED, visit.token);
    this.choose(status);
    this.status = status;
    this.idle = watchIdle({
      seconds: this.kiosk.idle_seconds,
      touched: () => visit.stay().catch(() => {}),
      idle: () => this.end({ keepTakeHome: true, quietly: true }),
      waits: () => isBusy(this.status) && lost.hidden,
    });
    this.stopFollowing = follow(visit, {
      status: (news) => this.visit === visit && this.hear(news),
      deleted: () => this.visit === visit && this.forget("attract"),
      lost: () => this.unreachable(true),
      found: () => this.unreachable(false),
    });
    if (["queued", "working"].includes(status.state)) this.show("working");
    else if (status.state === "ready") this.show("adjust");
    else this.refuse(status);
  },

  // What the customer has chosen; the defaults for a photo that is new. It stays while the same photo is prepared again.
  choose(status) {
    const photo = status.photo?.number ?? null;
    if (this.choice && (photo === null || this.choice.photo === photo)) return;
    this.choice = { photo, preset: this.kiosk.presets[0].name, strength: 1, leaveOut: new Set() };
  },

  // A status comes by events alone: the answer to a request may be older than the last event.
  hear(status) {
    this.choose(status);
    this.status = status;
    const { name } = this.current;
    const busy = status.state === "queued" || status.state === "working";
    if (busy && name !== "working") return this.show("working");
    const isNew = status.photo?.number !== this.current.photo;
    if (status.state === "ready" && isNew && (name === "working" || name === "bring")) return this.show("adjust");
    if (status.state === "failed" && status.number !== this.refused) return this.refuse(status);
    return this.current.update?.(status);
  },

  // Ask for a photo, and say, once, why the last one could not be taken.
  refuse(status) {
    this.refused = status.number;
    this.show("bring", status.error);
  },

  sentence: (error) => sayCode("error", error.code, error.message),

  // Tell the customer why something did not work.
  fail(error) {
    if (error.status === 404 && this.visit) {
      this.visit.status().catch((gone) => gone.status === 404 && this.forget("attract"));
    }
    dialog({
      title: say("error.title"),
      text: this.sentence(error),
      choices: [{ look: "primary", words: say("ok"), work: () => {} }],
    });
  },

  // Show a picture that has to arrive: it is asked for as long as the server cannot be reached.
  async arrive(image, source) {
    for (;;) {
      const outcome = await insist(image, source);
      if (outcome !== "failed" || lost.hidden) return outcome;
    }
  },

  unreachable(yes) {
    lost.textContent = say("lost");
    lost.hidden = !yes;
  },

  askToEnd() {
    if (!this.status.photo) return this.end({ quietly: true });
    const kept = this.status.take_home;
    const prints = openPrints(this.status);
    const gone = { look: "danger", words: say("end.delete"), work: () => this.end() };
    const keep = {
      look: "primary",
      words: say(prints.length ? "end.keep-printing" : "end.keep"),
      work: () => this.end({ keepTakeHome: true }),
    };
    dialog({
      title: say("end.title"),
      text: prints.length
        ? say("end.text-printing")
        : kept ? say("end.text-link", { n: Math.ceil(kept.seconds_left / 60) }) : say("end.text"),
      choices: [...(kept || prints.length ? [keep] : []), gone, { look: "plain", words: say("end.back"), work: () => {} }],
      oncancel: () => {},
    });
  },

  async end({ keepTakeHome = false, quietly = false } = {}) {
    const { visit } = this;
    const kept = openPrints(this.status).length ? "printing" : this.status.take_home ? "link" : "";
    this.forget(quietly ? "attract" : "goodbye", keepTakeHome ? kept : "");
    for (let wait = 1000; ; wait = Math.min(2 * wait, 10_000)) {
      try {
        await visit.end({ keepTakeHome });
        return;
      } catch (error) {
        if (error.status === 404) return;
        await pause(wait);
      }
    }
  },

  forget(next, ...details) {
    this.stopFollowing();
    this.idle?.stop();
    sessionStorage.removeItem(REMEMBERED);
    this.visit = this.status = this.choice = this.refused = this.idle = null;
    document.querySelectorAll("dialog").forEach((open) => open.remove());
    this.unreachable(false);
    if (next === "attract") this.home();
    else this.show(next, ...details);
  },

  // The next customer finds the kiosk's own language.
  async home() {
    await speak(this.kiosk.language).catch(() => {});
    this.show("attract");
  },
};

// The visit of before the page was loaded, if it has not ended.
async function remembered() {
  const token = sessionStorage.getItem(REMEMBERED);
  if (!token) return null;
  const visit = new Visit(token);
  try {
    return [visit, await visit.status()];
  } catch (error) {
    if (error.status !== 404) throw error;
    sessionStorage.removeItem(REMEMBERED);
    return null;
  }
}

async function start() {
  let visiting;
  for (;;) {
    try {
      app.kiosk = await ask("GET", "/api/kiosk");
      await speak(app.kiosk.language);
      visiting = await remembered();
      break;
    } catch {
      await pause(1500);
    }
  }
  document.title = app.kiosk.name;
  addEventListener("contextmenu", (event) => event.preventDefault());
  addEventListener("dragstart", (event) => event.preventDefault());
  if (visiting) app.take(...visiting);
  else app.show("attract");
}

start();
