// The one face of every meeting service's own program: pages enter, look and act through it, whatever stands behind.

import { JitsiMeeting } from "./jitsi.js";
import { ZoomMeeting } from "./zoom.js";

/**
 * Where a page is on its way into a meeting; the same words as in docs/protocol.md. After one that is not `joining` or
 * `joined` the meeting is over: enter again with a new ticket.
 */
export const STATES = ["joining", "joined", "script_failed", "unreachable", "refused", "locked", "full", "kicked", "lost", "no_host", "outdated"];

/**
 * Enter the meeting of a ticket, inside `parent`.
 *
 * `wishes`: `role` (`candidate` or `proctor`), `language`, `title` (of the frame), `frame` (address of our
 * frame page, for services that run in one), `alone`: whether it is a call of one candidate alone, and for candidates `audio`, `video`: what
 * they may receive, of proctors only. `heard`: `state(state, detail)`, `change()` when participants changed, `chat(message)`,
 * `stage(isOn)` at a candidate: whether the meeting is to be seen, because a proctor, and nobody else, is on stage, or because it wants
 * something pressed; `own(media, isOn, failed)` at a proctor.
 *
 * What comes back has `state`, `participants` (by session: `{id, identity, name, video, audio, moderator}`), `leave()`,
 * `send(media, isOn)` for the own `audio` and `video`, and for a moderator (`isModerator`) `muteAll()`, `mute(id)`, `remove(id)`, `pin(id)`,
 * `tiles()`, `say(text, id)`. One that can change what is received without leaving has `receive({audio, video, alone})`.
 */
export function enter(ticket, parent, wishes, heard) {
  const Meeting = ticket.kind === "zoom" ? ZoomMeeting : JitsiMeeting;
  const meeting = new Meeting(ticket, parent, wishes, heard);
  meeting.start();
  return meeting;
}

export const originOf = (ticket) => new URL(ticket.script).origin;
