// The stand-in's meeting page: enters a room by its token, shows who is there, sends a small picture a second, and tells the
// page that embeds it what Jitsi's IFrame API would tell (jitsi.md §7). Settings come in the fragment, as from external_api.js.

const PICTURE = { width: 160, height: 120, quality: 0.5, every: 1000 };
const base = document.documentElement.dataset.base;
const settings = read(location.hash.slice(1));
const room = decodeURIComponent(location.pathname.slice(base.length + 1)).toLowerCase();
const token = settings.jwt ?? new URLSearchParams(location.search).get("jwt");
const people = new Map();
const volumes = new Map();
let pinned = null;
let isStage = false;
const tiles = document.querySelector("#tiles");
const toolbar = document.querySelector("#toolbar");
const state = document.querySelector("#state");

let socket = null;
let me = null;
let camera = null;
let isOver = false;
const selfVideo = Object.assign(document.createElement("video"), { muted: true, playsInline: true, hidden: true });
const muted = { audio: settings.config.startWithAudioMuted === true, video: settings.config.startWithVideoMuted === true };

function read(fragment) {
    const found = { config: {}, interfaceConfig: {}, userInfo: {} };
    for (const part of fragment.split("&").filter(Boolean)) {
        const at = part.indexOf("=");
        const name = part.slice(0, at);
        const text = decodeURIComponent(part.slice(at + 1));
        if (name === "jwt") found.jwt = text;
        const [group, ...path] = name.split(".");
        if (!(group in found) || group === "jwt" || path.length === 0) continue;
        try { found[group][path.join(".")] = JSON.parse(text); } catch { /* what is no JSON counts for nothing */ }
    }
    return found;
}

// --- to the page around us ---

function emit(event, body = {}) {
    if (parent !== window) parent.postMessage({ standIn: { event, body } }, "*");
}

const questions = {
    getRoomsInfo: () => ({
        rooms: [{ id: `${room}@standin`, jid: `${room}@standin`, isMainRoom: true, participants: [...people.values()].map(shown) }],
        totalParticipants: people.size,
    }),
    captureLargeVideoScreenshot: () => ({ dataURL: document.querySelector(".large img, .tile img[src]")?.src ?? "" }),
    getConnectionStats: () => ({ connectionQuality: 100 }),
};

const shown = (one) => ({
    id: one.id, jid: one.jid, role: one.role, displayName: one.displayName, userContext: one.userContext ?? undefined,
});

window.addEventListener("message", ({ source, data }) => {
    const said = data?.standIn;
    if (source !== parent || !said) return;
    if (said.question in questions) {
        source.postMessage({ standIn: { answer: said.number, value: questions[said.question](...said.args) } }, "*");
    } else if (said.command in commands) {
        commands[said.command](...said.args);
    }
});

// --- what the page around us may ask for ---

const isModerator = () => people.get(me)?.role === "moderator";
const say = (message) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };

const commands = {
    hangup: () => leave(),
    toggleAudio: () => mute("audio", !muted.audio),
    toggleVideo: () => mute("video", !muted.video),
    setAudioOnly: (is) => mute("video", is),
    setTileView: (is) => showTiles(is),
    toggleTileView: () => showTiles(tiles.classList.contains("stage")),
    pinParticipant: (id) => pin(id ?? null),
    setLargeVideoParticipant: (id) => pin(id ?? null),
    kickParticipant: (id) => say({ type: "kick", id }),
    muteEveryone: (media = "audio") => { if (isModerator()) say({ type: "mute", media }); },
    muteRemoteParticipant: (id, media = "audio") => { if (isModerator()) say({ type: "mute", id, media }); },
    sendChatMessage: (text, to = "") => say({ type: "chat", text, to }),
    displayName: (name) => say({ type: "name", name }),
    endConference: () => { if (isModerator()) { say({ type: "end" }); leave(); } },
    setVideoQuality: () => {},
    setParticipantVolume: (id, volume) => { volumes.set(id, volume); showAudible(id); },
    subject: (subject) => { if (isModerator()) { document.title = subject; emit("subjectChange", { subject }); } },
    // As in Jitsi itself, a new channelLastN counts at the next entry only: it is looked at when a meeting is joined.
    overwriteConfig: (changes) => { Object.assign(settings.config, changes); },
};

// --- entering and leaving ---

function enter() {
    const url = new URL(`${base}/stand-in/socket`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("room", room);
    if (token) url.searchParams.set("token", token);
    url.searchParams.set("name", settings.userInfo.displayName ?? "");
    socket = new WebSocket(url);
    socket.addEventListener("message", ({ data }) => { const said = JSON.parse(data); heard[said.type]?.(said); });
    socket.addEventListener("close", () => { if (!isOver) over("The connection to the meeting broke.", { connection: true }); });
}

function leave() {
    over("You have left the meeting.");
    socket?.close();
}

function over(sentence, { connection = false } = {}) {
    if (isOver) return;
    isOver = true;
    state.textContent = sentence;
    state.hidden = false;
    toolbar.hidden = true;
    tiles.replaceChildren();
    camera?.getTracks().forEach((track) => track.stop());
    if (connection) emit("errorOccurred", { name: "connection.droppedError", type: "CONNECTION", isFatal: true, error: {} });
    if (me !== null) emit("videoConferenceLeft", { roomName: room });
    emit("readyToClose");
}

const heard = {
    presence: ({ self, participant }) => {
        const before = people.get(participant.id);
        people.set(participant.id, { ...before, ...participant });
        draw(participant.id, self);
        if (self && me === null) joined(participant);
        else if (!before && me !== null) emit("participantJoined", shown(participant));
        if (before && before.displayName !== participant.displayName) {
            emit("displayNameChange", { id: participant.id, displayname: participant.displayName });
        }
        if (me !== null && (before?.role ?? "participant") !== participant.role) {
            emit("participantRoleChanged", { id: participant.id, role: participant.role });
        }
    },
    left: ({ self, id, kicked }) => {
        if (self) {
            if (kicked) emit("participantKickedOut", { kicked: { id, local: true }, kicker: {} });
            over(kicked ? "You were removed from the meeting." : "You have left the meeting.");
            socket.close();
            return;
        }
        if (kicked) emit("participantKickedOut", { kicked: { id, local: false }, kicker: {} });
        people.delete(id);
        if (pinned === id) pinned = null;
        document.querySelector(`#p-${id}`)?.remove();
        emit("participantLeft", { id });
    },
    forwarded: ({ ids }) => {
        for (const tile of tiles.children) {
            if (!ids.includes(tile.id.slice(2))) tile.querySelector("img")?.removeAttribute("src");
        }
    },
    picture: ({ id, data }) => {
        const image = document.querySelector(`#p-${id} img`);
        if (image && data.startsWith("data:image/jpeg;base64,")) image.src = data;
    },
    chat: ({ self, id, text, private: isPrivate }) => {
        if (self) return emit("outgoingMessage", { message: text, privateMessage: isPrivate });
        return emit("incomingMessage", { from: id, nick: people.get(id)?.displayName, message: text, privateMessage: isPrivate });
    },
    muted: ({ self, id, media, muted: is, by_moderator: byModerator }) => {
        if (self && byModerator) return mute(media, true);
        if (self) return undefined;
        const tile = document.querySelector(`#p-${id}`);
        if (media === "audio") tile?.classList.toggle("silent", is);
        if (media === "video" && is) tile?.querySelector("img")?.removeAttribute("src");
        showAudible(id);
        return emit("participantMuted", { participantId: id, isMuted: is, mediaType: media });
    },
    error: ({ name, kind, hint }) => {
        emit("errorOccurred", { name, type: kind, isFatal: true, message: hint, error: { name, message: hint } });
        if (name === "connection.passwordRequired") emit("passwordRequired");
        over(`You cannot enter this meeting (${hint}).`);
    },
};

function joined(participant) {
    me = participant.id;
    state.hidden = true;
    const wanted = settings.config.toolbarButtons;
    toolbar.hidden = Array.isArray(wanted) && wanted.length === 0;
    for (const button of toolbar.children) button.hidden = Array.isArray(wanted) && !wanted.includes(button.dataset.do);
    emit("videoConferenceJoined", {
        roomName: room, id: me, displayName: participant.displayName, avatarURL: "", breakoutRoom: false,
    });
    for (const one of people.values()) {
        if (one.id === me) continue;
        emit("participantJoined", shown(one));
        if (one.role === "moderator") emit("participantRoleChanged", { id: one.id, role: one.role });
    }
    receive();
    for (const media of ["audio", "video"]) mute(media, muted[media]);
    setInterval(() => { sayPicture(); }, PICTURE.every);
    if (settings.config.disableInitialGUM !== true && !muted.video) openCamera();
}

// Selected is who is on stage: the pinned one, and nobody while all are shown as tiles.
function receive() {
    say({ type: "receive", last_n: settings.config.channelLastN ?? -1, selected: isStage && pinned !== null ? [pinned] : [] });
}

function showAudible(id) {
    const tile = document.querySelector(`#p-${id}`);
    if (!tile || id === me) return;
    const isHeard = settings.config.startSilent !== true && (volumes.get(id) ?? 1) > 0 && !tile.classList.contains("silent");
    tile.dataset.audible = isHeard ? "yes" : "no";
}

// --- camera ---

async function openCamera() {
    if (camera) return;
    try {
        camera = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
    } catch (error) {
        emit("cameraError", { type: error.name, message: error.message });
        return;
    }
    selfVideo.srcObject = camera;
    selfVideo.hidden = false;
    await selfVideo.play().catch(() => {});
    emit("videoAvailabilityChanged", { available: true });
}

const canvas = Object.assign(document.createElement("canvas"), { width: PICTURE.width, height: PICTURE.height });

function sayPicture() {
    if (!camera || muted.video || selfVideo.readyState < 2) return;
    canvas.getContext("2d").drawImage(selfVideo, 0, 0, canvas.width, canvas.height);
    say({ type: "picture", data: canvas.toDataURL("image/jpeg", PICTURE.quality) });
}

function mute(media, is) {
    muted[media] = is;
    const button = toolbar.querySelector(media === "audio" ? "[data-do=microphone]" : "[data-do=camera]");
    button.setAttribute("aria-pressed", String(!is));
    button.textContent = `${media === "audio" ? "Microphone" : "Camera"} ${is ? "off" : "on"}`;
    if (me === null) return;
    say({ type: "muted", media, muted: is });
    emit(media === "audio" ? "audioMuteStatusChanged" : "videoMuteStatusChanged", { muted: is });
    if (media === "video" && !is) openCamera();
    if (media === "audio") document.querySelector(`#p-${me}`)?.classList.toggle("silent", is);
}

// --- what people see ---

function draw(id, isSelf) {
    const one = people.get(id);
    let tile = document.querySelector(`#p-${id}`);
    if (!tile) {
        tile = document.createElement("figure");
        tile.id = `p-${id}`;
        tile.className = "tile";
        const picture = isSelf ? selfVideo : Object.assign(document.createElement("img"), { alt: "" });
        tile.append(picture, document.createElement("figcaption"));
        if (!(isSelf && settings.config.disableSelfView === true)) tiles.append(tile);
    }
    tile.classList.toggle("moderator", one.role === "moderator");
    showAudible(id);
    tile.querySelector("figcaption").textContent = one.displayName + (isSelf ? " (you)" : "");
}

function showTiles(is) {
    isStage = !is;
    tiles.classList.toggle("bare", settings.config.filmstrip?.disabled === true);
    receive();
    tiles.classList.toggle("stage", !is);
    toolbar.querySelector("[data-do=tileview]").setAttribute("aria-pressed", String(is));
    if (!is && !tiles.querySelector(".large")) tiles.firstElementChild?.classList.add("large");
    emit("tileViewChanged", { enabled: is });
}

function pin(id) {
    pinned = id;
    receive();
    for (const tile of tiles.children) {
        tile.classList.toggle("pinned", tile.id === `p-${id}`);
        tile.classList.toggle("large", tile.id === `p-${id}`);
    }
}

toolbar.addEventListener("click", ({ target }) => {
    const wish = target.dataset.do;
    if (wish === "microphone") commands.toggleAudio();
    if (wish === "camera") commands.toggleVideo();
    if (wish === "tileview") commands.toggleTileView();
    if (wish === "hangup") leave();
});

async function start() {
    const text = await (await fetch(`${base}/config.js`)).text();
    const asks = /prejoinConfig\W+enabled: true/.test(text);
    const skipped = (settings.config.prejoinConfig?.enabled ?? settings.config["prejoinConfig.enabled"]) === false;
    if (!asks || skipped) return enter();
    const form = document.querySelector("#prejoin");
    state.hidden = true;
    form.hidden = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); form.hidden = true; state.hidden = false; enter(); });
    return emit("prejoinScreenLoaded");
}

start();
