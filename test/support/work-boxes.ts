/** A head and another box that has joined it, each with a home and a runtime in this process: two boxes on one machine. */
import { expect } from 'vitest';
import type { Runtime } from '../../src/work/runtime.js';
import { runCli } from './cli.js';
import { killProcess } from './gang-kit.js';
import { eventually, WorkBox } from './work-box.js';

/** Bound to a node. */
export interface Bound {
  readonly schedulingStrategy: { readonly nodeId: string; readonly soft: boolean };
}

export class WorkBoxes implements AsyncDisposable {
  readonly head = new WorkBox();
  readonly far = new WorkBox();
  /** Runtimes that have joined on the head's box, and on the other. */
  here!: Runtime;
  there!: Runtime;
  /** Ids of the nodes. */
  headNode = '';
  farNode = '';
  #line = '';
  #port = '0';

  static async open(): Promise<WorkBoxes> {
    const boxes = new WorkBoxes();
    await boxes.startHead();
    await boxes.join();
    await boxes.#runtimes();
    return boxes;
  }

  /** After another head has begun: when the other box has joined that, with runtimes of their own. */
  async again(): Promise<void> {
    await Promise.all([this.here[Symbol.asyncDispose](), this.there[Symbol.asyncDispose]()]);
    const alive = async () => (await this.list('nodes')).filter(({ state }) => state === 'alive').length;
    await eventually(async () => (await alive()) === 2, alive);
    await this.#runtimes();
  }

  async #runtimes(): Promise<void> {
    this.here = await this.head.join();
    this.there = await this.far.join();
    this.headNode = (await this.here.snapshot()).nodes.find(({ id }) => id !== this.farNode)?.id ?? '';
  }

  /** Started again, it is at the port where it was. */
  async startHead(): Promise<void> {
    this.#line = await this.head.startHead('--port', this.#port, '--node-ip-address', '127.0.0.1');
    this.#port = /:(\d+) --token/.exec(this.#line)?.[1] ?? '0';
  }

  /** The other box joins. */
  async join(): Promise<void> {
    this.farNode = await this.far.startAgent(this.#line);
  }

  /** There, or nowhere. */
  get onFar(): Bound {
    return { schedulingStrategy: { nodeId: this.farNode, soft: false } };
  }

  get onHead(): Bound {
    return { schedulingStrategy: { nodeId: this.headNode, soft: false } };
  }

  /** SIGKILL for the agent. */
  kill(): void {
    killProcess(this.far.head, 'SIGKILL');
  }

  /** What the CLI lists on the head's box. */
  async list<T = Readonly<Record<string, unknown>>>(what: string): Promise<T[]> {
    const { code, stdout, stderr } = await runCli(['list', what, '--json'], this.head.env);
    if (code !== 0) throw new Error(`list ${what} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T[];
  }

  /** Everything that was taken of both is free again. */
  async free(): Promise<void> {
    const taken = async () => {
      const { nodes } = await this.here.snapshot();
      const alive = nodes.filter(({ state }) => state === 'alive');
      return alive.flatMap(({ name, resources, available }) =>
        Object.keys(resources).flatMap((one) => (resources[one] === available[one] ? [] : [`${name}: ${one}`])),
      );
    };
    await eventually(async () => (await taken()).length === 0, taken);
  }

  /** Ends all, and looks what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.here.connected) await this.free();
      await Promise.all([this.here[Symbol.asyncDispose](), this.there[Symbol.asyncDispose]()]);
    } finally {
      await this.far[Symbol.asyncDispose]();
      await this.head[Symbol.asyncDispose]();
    }
    expect([this.head, this.far].map((box) => box.processes().length)).toEqual([0, 0]);
  }
}
