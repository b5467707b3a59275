// The words of one language, from lang/XX.json.

// The languages' own names, in the order in which they are offered.
export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", zh: "中文", ja: "日本語" };

let words = {};
let language = "en";
let plural = new Intl.PluralRules("en");

let asked = language;

// Answers whether the language is spoken now: not if another one was asked for in the meantime.
export async function speak(wanted) {
  asked = wanted;
  const answer = await fetch(`/page/lang/${wanted}.json`);
  if (!answer.ok) throw new Error(`no words for ${wanted}`);
  const found = await answer.json();
  if (asked !== wanted) return false;
  words = found;
  language = wanted;
  plural = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted === "zh" ? "zh-Hans" : wanted;
  return true;
}

export const spoken = () => language;
export const has = (key) => key in words;

// say("photos", { n: 2 }) takes "photos.other"; {n} in the sentence becomes 2.
export function say(key, values = {}) {
  const sentence = words[key] ?? words[`${key}.${plural.select(values.n ?? 0)}`] ?? words[`${key}.other`] ?? key;
  return sentence.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

// A sentence that belongs to a code of the server, else the server's own sentence.
export const sayCode = (group, code, otherwise, values = {}) =>
  has(`${group}.${code}`) ? say(`${group}.${code}`, values) : otherwise;

// The best of the kiosk's languages for this reader.
export function preferred(languages, fallback) {
  const known = navigator.languages.map((name) => name.slice(0, 2).toLowerCase());
  return known.find((name) => languages.includes(name)) ?? fallback;
}
