// On the customer's phone: the restored photo, to look at and to keep.

import { h, picture } from "./parts/dom.js";
import { path, place, show, unreachable } from "./parts/phone-page.js";
import { ask } from "./parts/server.js";
import { LANGUAGES, preferred, say, speak } from "./parts/words.js";

const LOOK = 5000; // milliseconds between two looks at the time that is left
const status = () =>
  ask("GET", `${path}/status`).catch((error) => ({ state: error.status === 404 ? "gone" : "lost" }));

const megabytes = (bytes) =>
  new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1, minimumFractionDigits: 1 }).format(bytes / 1e6);

const gone = () => show("close", say("home.gone"), say("home.gone.text"));

async function start() {
  const news = await status();
  await speak(preferred(Object.keys(LANGUAGES), news.language ?? "en"));
  document.title = say("home.title");
  if (news.state === "lost") return unreachable();
  if (news.state === "gone") return gone();
  const left = h("p", { class: "note", role: "status" });
  const tell = ({ seconds_left }) => {
    left.textContent = say("home.left", { n: Math.max(1, Math.ceil(seconds_left / 60)) });
  };
  place.replaceChildren(
    h("div", { class: "phone-page" },
      h("h1", {}, say("home.title")),
      h("div", { class: "keepsake" }, picture(`${path}/picture?size=1080`, say("restored-photo"))),
      h("a", { class: "button primary huge", href: `${path}/file`, download: "" }, say("home.download")),
      h("p", { class: "facts" }, `${news.width} × ${news.height} · ${megabytes(news.bytes)} MB`),
      left));
  tell(news);
  const looking = setInterval(async () => {
    const now = await status();
    if (now.state === "open") return tell(now);
    if (now.state === "lost") return;
    clearInterval(looking);
    gone();
  }, LOOK);
}

start();
