/**
 * `Promise` on the SDK's own job queue. The engine never runs its queue in a synchronous
 * component; with this class, and `async` functions compiled to generators, ordinary
 * asynchronous code runs to its end within a call.
 */
import { enqueueJob } from "../jobs.js";

/** @typedef {(value: any) => any} Reaction */

class HostPromise {
  /** @type {"pending" | "fulfilled" | "rejected"} */
  #state = "pending";
  /** @type {any} */
  #value = undefined;
  /** @type {(() => void)[]} */
  #reactions = [];

  /** @param {(resolve: (value?: any) => void, reject: (reason?: any) => void) => void} executor */
  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("the executor of a Promise must be a function");
    const { resolve, reject } = this.#resolvers();
    try {
      executor(resolve, reject);
    } catch (reason) {
      reject(reason);
    }
  }

  /**
   * @param {Reaction} [onFulfilled]
   * @param {Reaction} [onRejected]
   * @returns {HostPromise}
   */
  then(onFulfilled, onRejected) {
    const Species = /** @type {any} */ (this.constructor)?.[Symbol.species] ?? HostPromise;
    return new Species((/** @type {Reaction} */ resolve, /** @type {Reaction} */ reject) => {
      const react = () => enqueueJob(() => {
        const handler = this.#state === "fulfilled" ? onFulfilled : onRejected;
        if (typeof handler !== "function") {
          (this.#state === "fulfilled" ? resolve : reject)(this.#value);
          return;
        }
        try {
          resolve(handler(this.#value));
        } catch (reason) {
          reject(reason);
        }
      });
      if (this.#state === "pending") this.#reactions.push(react);
      else react();
    });
  }

  /** @param {Reaction} [onRejected] */
  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  /** @param {() => any} [onFinally] */
  finally(onFinally) {
    if (typeof onFinally !== "function") return this.then(onFinally, onFinally);
    return this.then(
      (value) => HostPromise.resolve(onFinally()).then(() => value),
      (reason) => HostPromise.resolve(onFinally()).then(() => { throw reason; }),
    );
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  static get [Symbol.species]() {
    return this;
  }

  /** @param {any} [value] */
  static resolve(value) {
    if (value instanceof HostPromise && value.constructor === this) return value;
    return new this((resolve) => resolve(value));
  }

  /** @param {any} [reason] */
  static reject(reason) {
    return new this((_, reject) => reject(reason));
  }

  static withResolvers() {
    /** @type {any} */
    const result = {};
    result.promise = new this((resolve, reject) => Object.assign(result, { resolve, reject }));
    return result;
  }

  /**
   * @param {(...values: any[]) => any} action
   * @param {...any} values
   */
  static try(action, ...values) {
    return new this((resolve) => resolve(action(...values)));
  }

  /** @param {Iterable<any>} values */
  static all(values) {
    return collect(this, values, (entry, keep, _, reject) => entry.then(keep, reject), (kept, resolve) => resolve(kept));
  }

  /** @param {Iterable<any>} values */
  static allSettled(values) {
    return collect(this, values, (entry, keep) => entry.then(
      (value) => keep({ status: "fulfilled", value }),
      (reason) => keep({ status: "rejected", reason }),
    ), (kept, resolve) => resolve(kept));
  }

  /** @param {Iterable<any>} values */
  static any(values) {
    return collect(this, values, (entry, keep, resolve) => entry.then(resolve, keep), (reasons, _, reject) => {
      reject(new AggregateError(reasons, "all promises were rejected"));
    });
  }

  /** @param {Iterable<any>} values */
  static race(values) {
    return new this((resolve, reject) => {
      for (const value of values) this.resolve(value).then(resolve, reject);
    });
  }

  #resolvers() {
    let used = false;
    return {
      resolve: (/** @type {any} */ value) => {
        if (used) return;
        used = true;
        this.#resolve(value);
      },
      reject: (/** @type {any} */ reason) => {
        if (used) return;
        used = true;
        this.#settle("rejected", reason);
      },
    };
  }

  /** @param {any} value */
  #resolve(value) {
    if (value === this) {
      this.#settle("rejected", new TypeError("a promise cannot be resolved with itself"));
      return;
    }
    const isObject = (typeof value === "object" && value !== null) || typeof value === "function";
    let then;
    try {
      then = isObject ? value.then : undefined;
    } catch (reason) {
      this.#settle("rejected", reason);
      return;
    }
    if (typeof then !== "function") {
      this.#settle("fulfilled", value);
      return;
    }
    enqueueJob(() => {
      const { resolve, reject } = this.#resolvers();
      try {
        then.call(value, resolve, reject);
      } catch (reason) {
        reject(reason);
      }
    });
  }

  /**
   * @param {"fulfilled" | "rejected"} state
   * @param {any} value
   */
  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    const reactions = this.#reactions;
    this.#reactions = [];
    for (const react of reactions) react();
  }
}

/**
 * A promise over many: `attach` subscribes to each entry, and `finish` runs once every entry
 * was kept.
 * @param {typeof HostPromise} Species
 * @param {Iterable<any>} values
 * @param {(entry: HostPromise, keep: Reaction, resolve: Reaction, reject: Reaction) => void} attach
 * @param {(kept: any[], resolve: Reaction, reject: Reaction) => void} finish
 */
function collect(Species, values, attach, finish) {
  return new Species((resolve, reject) => {
    /** @type {any[]} */
    const kept = [];
    // The loop itself counts as one, so that an early answer cannot finish it.
    let open = 1;
    const close = () => {
      if (--open === 0) finish(kept, resolve, reject);
    };
    let count = 0;
    for (const value of values) {
      const at = count++;
      open++;
      attach(Species.resolve(value), (result) => {
        kept[at] = result;
        close();
      }, resolve, reject);
    }
    close();
  });
}

Object.defineProperty(HostPromise, "name", { value: "Promise" });
Object.defineProperty(globalThis, "Promise", { value: HostPromise, writable: true, configurable: true });
Object.defineProperty(globalThis, "queueMicrotask", { value: enqueueJob, writable: true, configurable: true });
