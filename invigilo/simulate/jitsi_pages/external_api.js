// The face of a Jitsi Meet towards pages that embed it, as its documentation describes it (jitsi.md §7). The meeting itself
// is the page in the frame; the two talk by postMessage. A classic script, because pages load the real one as such.
"use strict";

(() => {
    const own = new URL(document.currentScript.src);
    const ALLOWED = "autoplay; camera; clipboard-write; compute-pressure; display-capture; fullscreen; hid; microphone;"
        + " screen-wake-lock; speaker-selection";

    class JitsiMeetExternalAPI {
        #listeners = new Map();
        #frame = document.createElement("iframe");
        #participants = new Map();
        #questions = new Map();
        #asked = 0;
        #me = null;
        #muted = { audio: false, video: false };
        #hear = (event) => this.#take(event);

        constructor(domain, options = {}) {
            const room = options.roomName ?? "";
            const url = new URL(`${own.protocol}//${domain}/${room}`);
            const config = { ...options.configOverwrite };
            if (options.jwt) url.searchParams.set("jwt", options.jwt);
            const parts = options.jwt ? [`jwt=${options.jwt}`] : [];
            for (const [name, value] of Object.entries(config)) {
                parts.push(`config.${name}=${encodeURIComponent(JSON.stringify(value))}`);
            }
            for (const [name, value] of Object.entries(options.interfaceConfigOverwrite ?? {})) {
                parts.push(`interfaceConfig.${name}=${encodeURIComponent(JSON.stringify(value))}`);
            }
            for (const [name, value] of Object.entries(options.userInfo ?? {})) {
                parts.push(`userInfo.${name}=${encodeURIComponent(JSON.stringify(value))}`);
            }
            url.hash = parts.join("&");
            this.#frame.name = `jitsiConferenceFrame${JitsiMeetExternalAPI.count++}`;
            this.#frame.allow = ALLOWED;
            if (options.sandbox) this.#frame.sandbox = options.sandbox;
            this.#frame.width = options.width ?? "100%";
            this.#frame.height = options.height ?? "100%";
            this.#frame.setAttribute("frameborder", "0");
            this.#frame.title = options.title ?? "Meeting";
            this.#frame.src = url.href;
            if (options.onload) this.#frame.addEventListener("load", options.onload);
            window.addEventListener("message", this.#hear);
            (options.parentNode ?? document.body).append(this.#frame);
        }

        // --- events ---

        addListener(name, listener) {
            if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
            this.#listeners.get(name).add(listener);
            return this;
        }

        on(name, listener) { return this.addListener(name, listener); }
        addEventListener(name, listener) { this.addListener(name, listener); }
        addEventListeners(all) { for (const [name, one] of Object.entries(all)) this.addListener(name, one); }
        once(name, listener) {
            const first = (event) => { this.removeListener(name, first); listener(event); };
            return this.addListener(name, first);
        }

        removeListener(name, listener) { this.#listeners.get(name)?.delete(listener); return this; }
        off(name, listener) { return this.removeListener(name, listener); }
        removeEventListener(name) { this.#listeners.delete(name); }
        removeEventListeners(names) { for (const name of names) this.#listeners.delete(name); }

        #emit(name, event = {}) {
            for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event);
        }

        #take(event) {
            if (event.source !== this.#frame.contentWindow || event.origin !== own.origin) return;
            const said = event.data?.standIn;
            if (!said) return;
            if (said.answer !== undefined) {
                this.#questions.get(said.answer)?.(said.value);
                this.#questions.delete(said.answer);
                return;
            }
            this.#note(said.event, said.body);
            this.#emit(said.event, said.body);
        }

        #note(name, body) {
            if (name === "videoConferenceJoined") this.#me = body.id;
            if (name === "videoConferenceJoined" || name === "participantJoined") {
                this.#participants.set(body.id, { displayName: body.displayName, participantId: body.id });
            }
            if (name === "displayNameChange") {
                const one = this.#participants.get(body.id);
                if (one) one.displayName = body.displayname;
            }
            if (name === "participantLeft") this.#participants.delete(body.id);
            if (name === "videoConferenceLeft") this.#participants.clear();
            if (name === "audioMuteStatusChanged") this.#muted.audio = body.muted;
            if (name === "videoMuteStatusChanged") this.#muted.video = body.muted;
        }

        // --- commands and questions ---

        executeCommand(name, ...args) { this.#send({ command: name, args }); }
        executeCommands(all) { for (const [name, args] of Object.entries(all)) this.executeCommand(name, ...[args].flat()); }

        #send(said) { this.#frame.contentWindow?.postMessage({ standIn: said }, own.origin); }

        #ask(question, ...args) {
            const number = ++this.#asked;
            this.#send({ question, number, args });
            return new Promise((resolve) => { this.#questions.set(number, resolve); });
        }

        getRoomsInfo() { return this.#ask("getRoomsInfo"); }
        captureLargeVideoScreenshot() { return this.#ask("captureLargeVideoScreenshot"); }
        getConnectionStats() { return this.#ask("getConnectionStats"); }
        getAvailableDevices() { return Promise.resolve({ audioInput: [], audioOutput: [], videoInput: [] }); }
        isModerationOn() { return Promise.resolve(false); }
        isParticipantForceMuted() { return Promise.resolve(false); }
        isAudioMuted() { return Promise.resolve(this.#muted.audio); }
        isVideoMuted() { return Promise.resolve(this.#muted.video); }
        isAudioAvailable() { return Promise.resolve(true); }
        isVideoAvailable() { return Promise.resolve(true); }
        getParticipantsInfo() { return [...this.#participants.values()].map((one) => ({ ...one })); }
        getNumberOfParticipants() { return this.#participants.size; }
        getDisplayName(id) { return this.#participants.get(id)?.displayName; }
        getEmail() { return undefined; }
        getIFrame() { return this.#frame; }
        getSupportedCommands() { return ["hangup", "kickParticipant", "muteEveryone", "sendChatMessage", "setTileView", "pinParticipant", "setParticipantVolume", "toggleAudio", "toggleVideo"]; }
        get _myUserID() { return this.#me; }

        dispose() {
            window.removeEventListener("message", this.#hear);
            this.#frame.remove();
            this.#listeners.clear();
        }
    }
    JitsiMeetExternalAPI.count = 0;

    window.JitsiMeetExternalAPI = JitsiMeetExternalAPI;
})();
