// The proctor's own microphone and camera where the room is a service's meeting: its program has them, we ask it.

export class MeetingDevices {
  #entrance;
  #wish = { audio: false, video: false };
  #wasOn = { audio: false, video: false };
  onEnded = () => {};

  constructor(entrance) {
    this.#entrance = entrance;
  }

  async use({ audio, video }) {
    this.#wish = { audio, video };
    const { meeting } = this.#entrance;
    for (const [media, isOn] of Object.entries(this.#wish)) await meeting?.send(media, isOn);
  }

  /** After coming back into the meeting, where everybody of ours begins muted. */
  again() {
    this.#wasOn = { audio: false, video: false };
    if (!this.#wish.audio && !this.#wish.video) return;
    this.use(this.#wish).catch(() => {
      for (const [media, isOn] of Object.entries(this.#wish)) if (isOn) this.onEnded(media);
    });
  }

  /** What the meeting says of our devices: somebody muted us, or a device failed. */
  heard(media, isOn, failed = false) {
    const hasEnded = failed || (this.#wasOn[media] && !isOn);
    this.#wasOn[media] = isOn && !failed;
    if (this.#wish[media] && hasEnded) {
      this.#wish[media] = false;
      this.onEnded(media);
    }
  }

  stop() {
    this.use({ audio: false, video: false });
  }
}
