// Ask whether somebody is still there when nobody has touched the screen for a while, then give up.

import { dialog } from "./dialog.js";
import { say } from "./words.js";

const ANSWER = 20; // seconds
const TOUCHES = ["pointerdown", "pointermove", "keydown", "wheel"];
const TELL = 15_000; // milliseconds between two messages to the server

export function watchIdle({ seconds, touched, idle, waits }) {
  let last = performance.now();
  let told = 0;
  let question = null;
  let patience = seconds;

  const touch = () => {
    if (question) return;
    last = performance.now();
    if (last - told > TELL) {
      told = last;
      touched();
    }
  };
  const goOn = () => {
    question = null;
    told = 0;
    touch();
  };
  const giveUp = () => {
    question?.close();
    question = null;
    stop();
    idle();
  };
  const tick = () => {
    if (waits()) last = performance.now();
    const answerIn = Math.min(ANSWER, patience / 2);
    const left = Math.ceil(patience - (performance.now() - last) / 1000);
    if (left <= 0) return giveUp();
    if (left > answerIn) return;
    const words = say("idle.text", { n: left });
    if (question) return question.say(words);
    question = dialog({
      title: say("idle.title"),
      text: words,
      choices: [
        { look: "primary", words: say("idle.stay"), work: goOn },
        { look: "plain", words: say("idle.leave"), work: giveUp },
      ],
    });
  };
  for (const kind of TOUCHES) addEventListener(kind, touch, { passive: true });
  const timer = setInterval(tick, 500);
  const stop = () => {
    clearInterval(timer);
    question?.close();
    for (const kind of TOUCHES) removeEventListener(kind, touch);
  };
  return {
    stop,
    // Give the customer more time, while a phone is looked for.
    patient: (times) => {
      patience = seconds * times;
    },
    touch,
  };
}
