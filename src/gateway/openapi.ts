/** The API reference, made by @fastify/swagger from the schemas that validate. */
import { type SwaggerOptions, fastifySwagger as swagger } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';

/** A name of our own, because a host may have its own `swagger`. */
const DECORATOR = 'twinkleOpenapi';

/** Collect the routes of this instance from now on. */
export async function collectOpenApi(app: FastifyInstance, version: string): Promise<void> {
  const options: SwaggerOptions = {
    decorator: DECORATOR,
    openapi: {
      openapi: '3.1.0',
      info: { title: 'twinkle-node', description: 'Models served on your own boxes, in OpenAI’s words.', version },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    },
  };
  await app.register(swagger, options);
}

/** The reference as JSON text. */
export function renderOpenApi(app: FastifyInstance): string {
  const document = (app as unknown as Record<typeof DECORATOR, () => object>)[DECORATOR];
  return JSON.stringify(document());
}
