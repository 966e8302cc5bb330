// The face of Zoom's Meeting SDK for Web towards pages that use it, as its documentation describes it (zoom.md §7, §10.8).
// Behind it is the stand-in: who gets in is decided there, and video is one small picture a second. A classic script,
// because pages load the real one as such.
"use strict";

(() => {
    const own = new URL(document.currentScript.src);
    const VERSION = "SDK_VERSION";
    const PICTURE_EVERY = 1000; // ms
    const violations = [];
    document.addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));

    /** One stay in one meeting, by a socket. */
    class Stay {
        users = [];
        me = null;
        focus = false;
        #socket = null;
        #camera = null;
        #timer = 0;
        #press = false;

        constructor(heard) {
            this.heard = heard;
        }

        join(wish) {
            return new Promise((done, failed) => {
                const address = new URL("/stand-in/socket", own);
                address.protocol = own.protocol === "https:" ? "wss:" : "ws:";
                this.#socket = new WebSocket(address);
                this.#socket.onopen = () => this.send({ t: "join", ...wish, sdkVersion: VERSION });
                this.#socket.onerror = () => failed({ errorCode: 1, errorMessage: "Fail to join the meeting." });
                this.#socket.onclose = () => this.#end({ t: "lost" });
                this.#socket.onmessage = ({ data }) => {
                    const said = JSON.parse(data);
                    if (said.t === "error") failed(said);
                    if (said.t === "joined") {
                        this.me = said.me;
                        this.#press = said.press;
                        this.focus = said.focus;
                        done(said);
                        if (said.state === "in_meeting") this.#begin();
                    }
                    this.#take(said);
                };
            });
        }

        send(message) {
            if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
        }

        #take(said) {
            if (said.t === "users") {
                const before = this.users;
                this.users = said.users;
                const isIn = (list, one) => list.some((other) => other.userId === one.userId);
                for (const one of said.users) if (!isIn(before, one)) this.heard("onUserJoin", one);
                for (const one of before) if (!isIn(said.users, one)) this.heard("onUserLeave", one);
                const mine = said.users.find((one) => one.userId === this.me?.userId);
                if (mine) this.me = mine;
                if (mine && !this.#camera) this.#begin();
                this.heard("onUserUpdate", {});
            }
            if (said.t === "picture") this.heard("picture", said);
            if (said.t === "ended") this.#end({ t: "ended", reasonCode: 6 });
            if (said.t === "expelled") this.#end({ t: "expelled", reasonCode: 1 });
        }

        #begin() {
            if (this.#press || this.#camera) return;
            this.joinSound();
            this.film();
        }

        joinSound() {
            this.send({ t: "sound", on: true });
        }

        async film() {
            if (this.#camera) return;
            this.#camera = "asking";
            let video;
            try {
                const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
                video = document.createElement("video");
                video.muted = true;
                video.srcObject = stream;
                await video.play();
                this.#camera = stream;
            } catch {
                return this.send({ t: "video", on: false });
            }
            this.send({ t: "video", on: true });
            const canvas = document.createElement("canvas");
            canvas.width = 160;
            canvas.height = 120;
            this.#timer = setInterval(() => {
                canvas.getContext("2d").drawImage(video, 0, 0, 160, 120);
                this.send({ t: "picture", data: canvas.toDataURL("image/jpeg", 0.6) });
            }, PICTURE_EVERY);
        }

        #end(said) {
            if (!this.#socket) return;
            this.leave();
            this.heard("end", said);
        }

        leave() {
            clearInterval(this.#timer);
            if (this.#camera?.getTracks) for (const track of this.#camera.getTracks()) track.stop();
            const socket = this.#socket;
            this.#socket = null;
            socket?.close();
        }
    }

    /** Tiles, one per person, in focus mode of oneself and hosts; a picture when there is one, else a colour and a name. */
    class Gallery {
        constructor(root) {
            this.root = root;
            this.bar = document.createElement("div");
            this.bar.className = "zoom-bar";
            this.sound = this.#button("Join Audio", () => stay?.joinSound());
            this.camera = this.#button("Start Video", () => stay?.film());
            root.append(this.bar);
            Object.assign(root.style, {
                display: "grid", gridTemplateColumns: "repeat(auto-fill, minmax(160px, 1fr))", gap: "4px", padding: "4px",
                position: "absolute", inset: "0", overflow: "auto", background: "#222", alignContent: "start",
            });
            this.tiles = new Map();
        }

        #button(name, act) {
            const button = document.createElement("button");
            button.textContent = name;
            button.addEventListener("click", act);
            this.bar.append(button);
            return button;
        }

        show(all) {
            const users = all.filter((one) => !stay?.focus || one.isHost || one.userId === stay.me?.userId);
            const me = users.find((one) => one.userId === stay?.me?.userId);
            this.sound.hidden = !me || me.audio !== "";
            this.camera.hidden = !me || me.bVideoOn;
            for (const [id, tile] of this.tiles) if (!users.some((one) => one.userId === id)) tile.remove(), this.tiles.delete(id);
            for (const one of users) {
                const tile = this.tiles.get(one.userId) ?? this.#make(one);
                tile.lastChild.textContent = `${one.userName}${one.isHost ? " (host)" : ""}${one.muted ? " · muted" : ""}`;
            }
        }

        #make(one) {
            const tile = document.createElement("figure");
            tile.className = "zoom-tile";
            tile.dataset.user = String(one.userId);
            Object.assign(tile.style, { margin: "0", aspectRatio: "4 / 3", position: "relative", background: `hsl(${one.userId % 360} 40% 35%)` });
            const name = document.createElement("figcaption");
            Object.assign(name.style, { position: "absolute", left: "6px", bottom: "4px", color: "#fff", font: "12px sans-serif", textShadow: "0 1px 2px #000" });
            tile.append(name);
            this.tiles.set(one.userId, tile);
            this.root.append(tile);
            return tile;
        }

        picture({ userId, data }) {
            const tile = this.tiles.get(userId);
            if (!tile || !String(data).startsWith("data:image/")) return;
            let image = tile.querySelector("img");
            if (!image) {
                image = document.createElement("img");
                image.alt = "";
                Object.assign(image.style, { width: "100%", height: "100%", objectFit: "cover" });
                tile.prepend(image);
            }
            image.src = data;
        }
    }

    window.zoomStandIn = {
        version: VERSION,
        violations,
        get isolated() {
            return window.crossOriginIsolated === true;
        },
        options: null,
    };

    // --- client view ---

    const listeners = new Map();
    let ready = false;
    let stay = null;
    let gallery = null;
    const tell = (name, data) => {
        for (const listener of listeners.get(name) ?? []) listener(data);
    };

    const heard = (what, data) => {
        if (what === "picture") gallery?.picture(data);
        else if (what === "end") tell("onMeetingStatus", { meetingStatus: 3, reasonCode: data.reasonCode ?? 0 });
        else {
            gallery?.show(stay?.users ?? []);
            tell(what, data);
        }
    };

    window.ZoomMtg = {
        preLoadWasm() {},
        prepareWebSDK() {},
        setZoomJSLib(base, path) {
            window.zoomStandIn.lib = base + path;
        },
        i18n: { load: () => Promise.resolve(), onLoad: (done) => done() },
        init({ success, error, ...options }) {
            if (!options.leaveUrl) return error?.({ method: "init", status: false, errorCode: 1, errorMessage: "leaveUrl is required" });
            ready = true;
            window.zoomStandIn.options = options;
            let root = document.getElementById("zmmtg-root");
            if (!root) {
                root = document.createElement("div");
                root.id = "zmmtg-root";
                document.body.append(root);
            }
            root.style.display = "block";
            gallery = new Gallery(root);
            success?.({});
        },
        join({ success, error, passWord, ...wish }) {
            if (!ready) throw Object.assign(new Error("init was not called"), { errorCode: 2 });
            tell("onMeetingStatus", { meetingStatus: 1 });
            stay = new Stay(heard);
            const asked = { ...wish, passcode: passWord, meetingNumber: String(wish.meetingNumber) };
            stay.join(asked).then(
                (said) => {
                    if (said.state === "in_meeting") tell("onMeetingStatus", { meetingStatus: 2 });
                    success?.({ result: {} });
                },
                ({ errorCode, errorMessage }) => error?.({ method: "join", status: false, errorCode, errorMessage }),
            );
        },
        leaveMeeting({ success } = {}) {
            stay?.leave();
            stay = null;
            success?.({});
        },
        inMeetingServiceListener(name, listener) {
            if (!listeners.has(name)) listeners.set(name, new Set());
            listeners.get(name).add(listener);
        },
        getCurrentUser({ success } = {}) {
            success?.({ result: { currentUser: stay?.me ?? null } });
        },
        getAttendeeslist({ success } = {}) {
            success?.({ result: { attendeesList: stay?.users ?? [] } });
        },
        mute({ userId, mute }) {
            stay?.send({ t: "mute", userId, mute });
        },
        muteAll({ muteAll }) {
            if (muteAll) stay?.send({ t: "muteAll" });
        },
        expel({ userId }) {
            stay?.send({ t: "expel", userId });
        },
        stopIncomingAudio({ stop }) {
            window.zoomStandIn.silent = stop === true;
        },
    };

    // --- component view ---

    window.ZoomMtgEmbedded = {
        createClient() {
            const hearing = new Map();
            let mine = null;
            let wasSetUp = false;
            return {
                async init(options) {
                    wasSetUp = true;
                    window.zoomStandIn.options = options;
                },
                async join({ password, ...wish }) {
                    if (!wasSetUp) throw { type: "INVALID_OPERATION", reason: "init was not called", errorCode: 2 };
                    mine = new Stay((what, data) => hearing.get(what)?.(data));
                    try {
                        return await mine.join({ ...wish, passcode: password, meetingNumber: String(wish.meetingNumber) });
                    } catch ({ errorCode, errorMessage }) {
                        throw { type: "JOIN_MEETING_FAILED", reason: errorMessage, errorCode };
                    }
                },
                async leaveMeeting() {
                    mine?.leave();
                },
                on: (name, listener) => hearing.set(name, listener),
                off: (name) => hearing.delete(name),
            };
        },
    };
})();
