// The part of a service's test that only a browser can do: join a meeting made for it, in a frame, and say what came of it.

import { ZoomMeeting } from "../meeting/zoom.js";

/**
 * Join by the socket and the frame of `way`, shown in `place`. Resolves to the server's last word, which has the steps as they
 * are kept now; to null when there was none. The ticket comes by the socket and is good for this one page.
 */
export function join(way, place) {
  return new Promise((done) => {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${way.socket}`);
    let meeting = null;
    let last = null;
    place.hidden = false;
    socket.onmessage = ({ data }) => {
      const said = JSON.parse(data);
      if (said.t === "end") last = said;
      if (said.t !== "ticket" || meeting) return;
      const say = (state, code = 0) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ state, code }));
      meeting = enter(said, way, place, say);
    };
    socket.onclose = () => {
      meeting?.leave();
      place.hidden = true;
      done(last);
    };
  });
}

function enter(ticket, way, place, say) {
  const wishes = { role: "test", language: document.documentElement.lang, title: place.dataset.title, frame: way.frame };
  const meeting = new ZoomMeeting(ticket, place.querySelector(".proof-frame"), wishes, {
    state: (state, detail) => {
      if (state === "joined") say("joined");
      else if (state === "script_failed") say(detail === "frame" ? "no_frame" : "script_failed");
      else if (state !== "joining") say("failed", meeting.code);
    },
  });
  meeting.start();
  return meeting;
}
