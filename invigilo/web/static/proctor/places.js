// Where everybody is: which room a page shows, who is in it now, and how rooms of every kind are called.

import { page, t } from "./page.js";

export const COLLECTING = "collecting";
export const isOver = (room) => room.state === "closed" || room.state === "closing";

/** The id of the room somebody is in now: called into one, or at home. */
export const placeOf = (row) => row.called?.room ?? row.room_id ?? null;

/** The room this page is the window of; undefined while it is not known, and when it is gone. */
export const roomHere = (feed) => feed.rooms.get(page.roomId);

export const isCallWindow = page.roomId !== null && page.roomId !== undefined && page.roomKind !== COLLECTING;

/** Whether somebody is shown in this page's window: at home in its room, even while called away, or called into it. */
export const belongsHere = (row) => (isCallWindow ? row.called?.room : row.room_id) === page.roomId;

export const addressOf = (room) => (room.kind === COLLECTING ? `${page.base}/rooms/${room.number}` : `${page.base}/calls/${room.id}`);

/** `rows`: to name the candidates of a talk. */
export function titleOf(room, rows) {
  if (room.kind === COLLECTING) return t("room.number", { number: room.number });
  if (room.kind === "town_hall") return t("call.town_hall");
  const names = (room.connections ?? []).map((id) => rows.get(id)?.name).filter(Boolean);
  return names.length ? t("call.break_out_with", { name: names.join(", ") }) : t("call.break_out");
}
