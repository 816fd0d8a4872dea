/** Runs and checkpoints together: what is saved, and what goes on from it. */
import { TwinkleError } from '../errors.js';
import { type CheckpointPath, checkName, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import { savedAs } from './finished-saves.js';
import { sizeText } from './full-runs.js';
import type { NamedCheckpoints } from './named-checkpoints.js';
import { PLAIN_LORA } from './plain-lora.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import type { Session } from './sessions.js';
import type { Trainer } from './trainer.js';
import type { LoadRequest, ResumeRequest, RunShape, SaveRequest } from './types/checkpoints.js';
import { writeCheckpoint } from './write-checkpoint.js';

export class Saving {
  /** Paths that are being written. */
  readonly #writing = new Set<string>();

  constructor(
    private readonly runs: Runs,
    private readonly checkpoints: Checkpoints,
    private readonly named: NamedCheckpoints,
  ) {}

  save(tenant: string, request: SaveRequest): string {
    const { kind, name, optimizer = true, overwrite, run: id, seqId, ttlSeconds, userMetadata } = request;
    const path: CheckpointPath = { run: id, kind, name: checkName(name) };
    return this.runs.ask(tenant, id, seqId, (run, future) =>
      run.order(seqId, future, async (trainer) => {
        const text = pathText(path);
        // In its turn: the one before it may have the same name.
        if (!overwrite) this.checkpoints.checkFree(path, this.#writing.has(text));
        this.checkpoints.checkRoom(tenant, path, 1); // how large it is, only writing tells
        const contents = kind === 'weights' && optimizer ? 'all' : 'weights';
        this.#writing.add(text);
        const over = (): boolean => this.#writing.delete(text);
        const written = await writeCheckpoint(this.checkpoints, run, path, trainer, contents).catch(
          (error: unknown) => {
            over();
            throw error;
          },
        );
        return async () => {
          const expires = this.checkpoints.until(ttlSeconds);
          await this.named.save({ ...written, expires, userMetadata, request: future.id }).finally(over);
          return savedAs(written);
        };
      }),
    );
  }

  /** @param served the served name of a base model; throws `MODEL_NOT_FOUND` */
  resume(session: Session, request: ResumeRequest, served: (baseModel: string) => string): Run {
    const { from, optimizer, reader, seqId, userMetadata } = request;
    const { folder, run } = this.named.readable(reader, from);
    const bring = (): Promise<void> | null => this.named.bring(reader, from);
    const spec = { ...run, session: session.id, seqId, userMetadata };
    return this.runs.create(session, spec, served(run.baseModel), { folder, optimizer, bring });
  }

  load(tenant: string, { from, optimizer, reader, run: id, seqId }: LoadRequest): string {
    const { folder, run: saved } = this.named.readable(reader, from);
    const own = this.runs.get(tenant, id).spec;
    const { baseModel, rank } = own;
    if (saved.baseModel !== baseModel || saved.rank !== rank) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `checkpoint \`${pathText(from)}\` is of \`${saved.baseModel}\` with ${sizeText(saved)}, this run of \`${baseModel}\` with ${sizeText({ rank })}: begin a run from it`,
        { param: 'path' },
      );
    }
    if (rank !== 0 && placesOf(saved) !== placesOf(own)) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `checkpoint \`${pathText(from)}\` is of a LoRA of other layers or another scale (${placesOf(saved)}) than this run's (${placesOf(own)}): begin a run like it`,
        { param: 'path' },
      );
    }
    return this.runs.ask(tenant, id, seqId, (run, future) => {
      const act = async (trainer: Trainer): Promise<object> => {
        await trainer.call('train_load', { run: id, folder, optimizer });
        run.unstepped = false;
        return { path: pathText(from), model_id: id, type: 'load_weights' };
      };
      run.order(seqId, future, act, { ready: this.named.bring(reader, from) });
    });
  }
}

/** What of a LoRA a run cannot take over from another. */
function placesOf({ attn, lora = PLAIN_LORA, mlp, unembed }: RunShape): string {
  const { alpha, rslora, targets } = lora;
  const layers =
    targets ?? [attn && 'attention', mlp && 'mlp', unembed && 'output layer'].filter((one) => one !== false);
  return `${layers.join(', ')}; alpha ${alpha}${rslora ? ', by the root of the rank' : ''}`;
}
