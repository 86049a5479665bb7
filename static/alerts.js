// Desktop notifications and sound, for what ends while nobody looks here. Off until asked for, in Settings.

import { plural } from "./format.js";
import { navigate } from "./router.js";
import { setting } from "./settings.js";

const BEEP = { error: [330, 247], other: [523, 659] }; // two tones, falling or rising
const TONE_S = 0.12;

/** Whether this browser can show notifications; over plain HTTP it cannot. */
export const canNotify = () => "Notification" in window && isSecureContext && Notification.permission !== "denied";

/** Asks the browser for its permission; resolves to whether it was given. */
export const askToNotify = async () => canNotify() && (await Notification.requestPermission()) === "granted";

/** Tells of notifications that are new, as the settings want it. */
export function alertOf(news) {
  const failed = news.some(({ level }) => level === "error");
  if (setting("sound") === "on") beep(failed ? "error" : "other");
  if (setting("desktop") !== "on" || !canNotify() || Notification.permission !== "granted" || document.hasFocus()) return;
  const [{ title, task }] = news;
  const one = news.length === 1;
  const shown = new Notification(one ? title : `${plural(news.length, "task")} ended`, { body: one ? (task.error?.message ?? "") : `The latest: ${title}`, tag: "errand" });
  shown.onclick = () => {
    focus();
    navigate(one ? `tasks/${task.id}` : "notifications");
    shown.close();
  };
}

/** Plays the sound of "error" or "other". */
export function beep(kind) {
  if (navigator.userActivation?.hasBeenActive === false) return; // nobody has touched this page yet: browsers play nothing then
  const sound = new AudioContext();
  const volume = sound.createGain();
  volume.gain.value = 0.05;
  volume.connect(sound.destination);
  BEEP[kind].forEach((frequency, at) => {
    const tone = sound.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(volume);
    tone.start(sound.currentTime + at * TONE_S);
    tone.stop(sound.currentTime + (at + 1) * TONE_S);
    if (at === BEEP[kind].length - 1) tone.onended = () => sound.close();
  });
}
