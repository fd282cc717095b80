import { host } from "../host.js";

export default { nowMs: () => host.nowMs, monotonicMs: () => host.nowMs };
