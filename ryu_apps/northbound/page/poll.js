// One question after the other while a view is open: the next is asked some seconds after the last
// was answered, so a slow controller is never asked faster than it answers; not while the tab is
// hidden, and more and more rarely while there is no answer.

const EVERY = 5000;
const RAREST = 60000;

export class Poll {
  /** `load(signal)` asks, `done(data)` and `failed(error)` are told. */
  constructor(load, done, failed) {
    this.load = load;
    this.done = done;
    this.failed = failed;
    this.wait = EVERY;
    this.timer = 0;
    this.asking = null;
    this.looked = () => {
      if (!document.hidden) this.now();
    };
    document.addEventListener("visibilitychange", this.looked);
    this.now();
  }

  async now() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    try {
      const data = await this.load(asking.signal);
      if (this.asking !== asking) return;
      this.wait = EVERY;
      this.done(data);
    } catch (error) {
      if (error.name === "AbortError" || this.asking !== asking) return;
      this.wait = Math.min(this.wait * 2, RAREST);
      this.failed(error);
    }
    if (this.asking === asking && !document.hidden) this.timer = setTimeout(() => this.now(), this.wait);
  }

  end() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
    document.removeEventListener("visibilitychange", this.looked);
  }
}
