// A soft tone for what the candidate should not miss while another window is in front. Nothing else on the page sounds.

const NOTES = [659.3, 880]; // Hz
const LOUDNESS = 0.06;
let context = null;

export function softTone() {
  const Context = window.AudioContext || window.webkitAudioContext;
  if (!Context) return;
  try {
    context ??= new Context();
    if (context.state !== "running") context.resume().catch(() => {});
    NOTES.forEach((frequency, index) => note(frequency, context.currentTime + 0.02 + index * 0.18));
  } catch {
    // an engine without sound: the words are there
  }
}

function note(frequency, at) {
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(LOUDNESS, at + 0.03);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.35);
  const oscillator = context.createOscillator();
  oscillator.frequency.value = frequency;
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + 0.4);
}
