// Joins the parts of the candidate's page. What the messages mean is in docs/protocol.md.

import { Check } from "./check.js";
import { Devices, isSeb } from "./camera.js";
import { ExamWindow } from "./exam_window.js";
import { Level } from "./level.js";
import { Messages } from "./messages.js";
import { showOwnEnd } from "./own_end.js";
import { Peers } from "./peers.js";
import { ProctorCard } from "./proctor.js";
import { Room } from "./room.js";
import { Silence } from "./silence.js";
import { Socket } from "./socket.js";
import { States } from "./states.js";
import { Stills } from "./stills.js";
import { pageData, t } from "./texts.js";
import { after, every } from "./timer.js";
import { keepAwake } from "./wake_lock.js";

const MEDIA_EVERY = 10_000;
const SLEPT = 12_000; // a beat that comes so late means that the machine slept
const BEAT = 2000;

const find = (name) => document.querySelector(`[data-${name}]`);

const socket = new Socket(pageData.socket_path, { tab: randomName(), language: pageData.language, seb: sebVersion() });
const send = (message) => socket.send(message);
const devices = new Devices();
const peers = new Peers(devices, send);
const states = new States(find("states"));
const check = new Check(find("work"), devices, send);
const room = new Room(find("meeting"), send);
const exam = new ExamWindow(find("start-section"), check);
const level = new Level(find("level"));
const silence = new Silence(peers, () => tellMedia());
const announce = (text) => (find("proctor-say").textContent = text);
const proctor = new ProctorCard(find("proctor"), announce);
const messages = new Messages(find("messages"), send, announce);
const ownPicture = find("own-picture");
const stills = new Stills(devices, ownPicture, socket);

// --- what the server says ---

const heard = new Map(Object.entries({
  welcome(message) {
    about(message);
    states.watchers(message.watchers);
    peers.setVideo(message.video);
    peers.setWatchers(message.watchers);
    stills.setInterval(message.still_interval_ms);
    exam.setAddress(message.start_url);
    check.tell({ evenIfSame: true });
    tellMedia({ evenIfSame: true });
    place(message);
    check.lookForPath(message.ice_servers);
  },
  placed: place,
  meeting: (message) => room.ticket(message),
  no_meeting: () => room.noTicket(),
  about,
  message: (message) => messages.take(message),
  error: (message) => messages.refused(message),
  watch: (message) => peers.watch(message.peer, message.ice_servers),
  unwatch: (message) => peers.unwatch(message.peer),
  signal: (message) => peers.signal(message),
  restart: (message) => peers.restart(message.peer),
  watchers(message) {
    states.watchers(message.count);
    peers.setWatchers(message.count);
  },
}));

function about(message) {
  find("candidate").textContent = message.candidate;
  showOwnEnd(find("own-end"), message.ends_at, message.time_zone);
}

function place(message) {
  states.place(message.room);
  proctor.place(message);
  messages.chat(message.chat);
  room.place(message);
  send({ t: "confirm", revision: message.revision });
}

socket.onMessage = (message) => {
  const handle = heard.get(message.t); // a type this page does not know is none of its business
  if (handle) handle(message);
};
socket.onOpen = () => peers.newSocket();
socket.onState = (state, reason) => {
  states.connection(state);
  if (socket.isStopped) stop(state, reason);
};

// --- what the devices do ---

devices.onChange = () => {
  showOwnPicture();
  level.use(devices.tracks.microphone);
  peers.tracksChanged();
  check.changed();
  tellMedia();
};
check.onChange = () => exam.show();
peers.onTrack = (peer, track) => proctor.hearing.take(peer, track);
peers.onClosed = (peer) => proctor.hearing.forget(peer);
peers.onState = (state, hasConnected) => check.connectionSeen(state, hasConnected);
exam.onChange = () => tellMedia();
room.onChange = () => check.meetingSeen(room.state);

function showOwnPicture() {
  const sending = devices.sending("camera");
  find("picture").dataset.shows = sending === "live" ? "picture" : "nothing";
  if (sending !== "live") {
    const key = sending === "off" && devices.results.camera === "pending" ? "starting" : "none";
    find("no-picture").textContent = t(`candidate.picture.${key}`);
    return;
  }
  const shown = ownPicture.srcObject;
  if (shown && shown.getTracks()[0] === devices.tracks.camera) return;
  ownPicture.muted = true;
  ownPicture.srcObject = new MediaStream([devices.tracks.camera]);
  ownPicture.play().catch(() => {});
}

let mediaTold = "";

function tellMedia({ evenIfSame = false } = {}) {
  const microphone = devices.sending("microphone");
  const message = {
    t: "media",
    camera: devices.sending("camera"),
    microphone: microphone === "live" && silence.isSilent ? "silent" : microphone,
    visible: document.visibilityState === "visible",
    exam_opened: exam.isOpened,
  };
  const text = JSON.stringify(message);
  if ((evenIfSame || text !== mediaTold) && send(message)) mediaTold = text;
}

// --- sleep, network, other tabs ---

function wake() {
  if (socket.isStopped) return;
  socket.wake();
  devices.wake();
  peers.wake();
  tellMedia();
}

let beatAt = Date.now();

every(() => BEAT, () => {
  const slept = Date.now() - beatAt > SLEPT;
  beatAt = Date.now();
  if (slept) wake();
});
every(() => MEDIA_EVERY, () => tellMedia({ evenIfSame: true }));
document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? wake() : tellMedia()));
document.addEventListener("resume", wake);
window.addEventListener("online", wake);
window.addEventListener("pageshow", (event) => event.persisted && wake());

/** Another tab took over, or the exam is over: let go of camera, microphone and connections, and say so. */
function stop(state, reason) {
  peers.closeAll();
  proctor.leave();
  messages.leave();
  room.leave();
  devices.stop();
  find("work").hidden = true;
  find("stopped").hidden = false;
  find("take-over").hidden = state !== "replaced";
  const key = state === "replaced" ? "candidate.replaced" : `candidate.ended.${reason}`;
  find("stopped-title").textContent = t(`${key}.title`);
  find("stopped-words").textContent = t(key);
  find("stopped").focus();
}

function go() {
  find("stopped").hidden = true;
  find("work").hidden = false;
  socket.open();
  devices.start();
}

find("take-over").addEventListener("click", go);
keepAwake();
after(0, go);

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What SEB's own script interface says, if it is there. */
function sebVersion() {
  const seb = window.SafeExamBrowser;
  if (seb && seb.version) return String(seb.version).slice(0, 200);
  return isSeb() ? "yes" : null;
}
