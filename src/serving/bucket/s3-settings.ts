/** What the variables of a model say of its S3, where they say other things than the server's environment. Pure; knows no SDK. */
import { TwinkleError } from '../../errors.js';

type Env = Readonly<Record<string, string | undefined>>;

/** What is absent the SDK finds by itself, in the server's environment, files and roles. */
export interface S3Settings {
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly profile?: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly useFipsEndpoint?: boolean;
  readonly useDualstackEndpoint?: boolean;
}

/** Other ways to credentials. The SDK takes them from its own process alone, where they would be those of all models. */
const OTHER_SOURCES = [
  ...['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE', 'AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE'],
  ...['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'],
];

/**
 * Settings for the variables of a model, by the SDK's names and boto3's `AWS_DEFAULT_REGION`; of two that say the same, the model's own wins
 * over the server's, however special that is. An empty one says nothing.
 * @throws `CONFIG_INVALID` for half a pair of keys, and for other ways to credentials than keys and `AWS_PROFILE`
 */
export function readS3Settings(own: Env, inherited: Env): S3Settings {
  const { AWS_PROFILE: profile, AWS_REGION: region, AWS_DEFAULT_REGION: defaultRegion } = own;
  const credentials = readCredentials(own, inherited);
  const other = OTHER_SOURCES.find((name) => own[name]);
  if (credentials === null && !profile && other !== undefined) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected keys or AWS_PROFILE in \`runtime_env.env_vars\` of a model with adapters from s3:// but received ${other}; set that in the server’s environment`,
    );
  }
  const found = {
    credentials,
    profile,
    region: region || defaultRegion,
    endpoint: own.AWS_ENDPOINT_URL_S3 || own.AWS_ENDPOINT_URL,
    useFipsEndpoint: readFlag(own.AWS_USE_FIPS_ENDPOINT),
    useDualstackEndpoint: readFlag(own.AWS_USE_DUALSTACK_ENDPOINT),
  };
  return Object.fromEntries(
    Object.entries(found).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  );
}

/** A token belongs to its key: that of the server's key would spoil the model's. Null: the model names none of the three. */
function readCredentials(own: Env, inherited: Env): S3Settings['credentials'] | null {
  const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
  if (!names.some((name) => own[name])) return null;
  const [accessKeyId, secretAccessKey] = names.map((name) => own[name] || inherited[name]);
  if (!accessKeyId || !secretAccessKey) {
    const [there, missing] = accessKeyId ? names : [names.find((name) => own[name]), names[0]];
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the model’s s3:// but received ${there} without ${missing}; set both in \`runtime_env.env_vars\``,
    );
  }
  const sessionToken = own.AWS_SESSION_TOKEN || (own.AWS_ACCESS_KEY_ID ? '' : inherited.AWS_SESSION_TOKEN);
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

/** As the SDK reads it; null: not said. */
function readFlag(text: string | undefined): boolean | null {
  return text === 'true' ? true : text === 'false' ? false : null;
}
