// A clock in a worker: browsers slow the timers of a page that is not in front, but not a worker's. A candidate's page is
// behind the exam's window most of the time.
"use strict";

const waiting = new Map();

self.onmessage = ({ data }) => {
  if (data.after === undefined) {
    clearTimeout(waiting.get(data.id));
    waiting.delete(data.id);
    return;
  }
  waiting.set(
    data.id,
    setTimeout(() => {
      waiting.delete(data.id);
      self.postMessage(data.id);
    }, data.after),
  );
};
