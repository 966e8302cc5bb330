// Whether this machine has any way for live video. The last word has a real connection; until one is made, this is the best guess.

import { after } from "./timer.js";

const PATIENCE = 5000;

/** `{result, detail}`: `ok` when the engine finds an address proctors could reach, `no_path` when it finds none. */
export async function findPath(iceServers) {
  if (!("RTCPeerConnection" in window)) return { result: "stills_only", detail: "no WebRTC" };
  let connection;
  try {
    connection = new RTCPeerConnection({ iceServers: iceServers || [] });
    connection.createDataChannel("path");
    const found = firstCandidate(connection);
    await connection.setLocalDescription(await connection.createOffer());
    const kind = await found;
    return kind ? { result: "ok", detail: "" } : { result: "no_path", detail: "no ICE candidates" };
  } catch (error) {
    return { result: "no_path", detail: `${error.name}: ${error.message}` };
  } finally {
    if (connection) connection.close();
  }
}

/** The kind of the first candidate; null when none comes. */
function firstCandidate(connection) {
  return new Promise((done) => {
    const cancel = after(PATIENCE, () => done(null));
    connection.onicecandidate = ({ candidate }) => {
      if (candidate && candidate.candidate === "") return;
      cancel();
      done(candidate ? candidate.type || "host" : null);
    };
  });
}
