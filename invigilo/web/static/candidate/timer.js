// Timers that keep their pace while the page is hidden; the ordinary ones where no worker can be had.

const jobs = new Map();
let lastId = 0;
let worker = startWorker();

function startWorker() {
  try {
    const started = new Worker(new URL("./still_timer.js", import.meta.url));
    started.onmessage = ({ data }) => fire(data);
    started.onerror = useOrdinaryTimers;
    return started;
  } catch {
    return null;
  }
}

function useOrdinaryTimers() {
  worker = null;
  for (const [id, job] of jobs) setTimeout(fire, job.after, id);
}

function fire(id) {
  const job = jobs.get(id);
  jobs.delete(id);
  if (job) job.run();
}

/** Runs once, in `milliseconds`; returns a function that cancels it. */
export function after(milliseconds, run) {
  const id = ++lastId;
  jobs.set(id, { run, after: milliseconds });
  if (worker) worker.postMessage({ id, after: milliseconds });
  else setTimeout(fire, milliseconds, id);
  return () => {
    if (jobs.delete(id) && worker) worker.postMessage({ id });
  };
}

/** Runs again and again; `milliseconds` is asked each time, so the pace may change. Returns a function that stops it. */
export function every(milliseconds, run) {
  let cancel = null;
  const again = () => {
    cancel = after(milliseconds(), () => {
      again();
      run();
    });
  };
  again();
  return () => cancel();
}
