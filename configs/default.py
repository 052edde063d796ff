"""Every field of a run, with its meaning and unit; the other configs override some of them.

    python -m trainer --config=configs/default.py --workdir=runs/default

Tuples may be overridden as `--config.model.layer_sizes=128,64`. 0 or 0.0 switches a field off
where its comment says so.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """A complete config: the tutorial's network on the embedded sample corpus."""
    config = ml_collections.ConfigDict()
    # Decides the initial weights, the order of the reviews and the dropout masks.
    config.seed = 0

    config.data = data = ml_collections.ConfigDict()
    # 'sample'; 'tfds:NAME'; 'files:PATH', a folder or file of reviews (see README);
    # 'shards:URL', a folder or gs:// URL that --mode=prepare has filled from one of these.
    data.source = "sample"
    # For 'tfds:': the folder TFDS keeps its data sets in; '' is TFDS's default ($TFDS_DATA_DIR).
    # For 'files:': the folder that a relative PATH is in; '' is the working folder.
    data.dir = ""
    # For 'tfds:': the splits to read, in TFDS's notation ('train[:10%]' works).
    data.train_split = "train"
    data.test_split = "test"
    # Share of the training split held out for validation, always the same reviews.
    data.validation_share = 0.08
    # Ids in the vocabulary: padding, the unknown word, then the most frequent words.
    data.vocabulary_size = 20_000
    # Words of a review that the model reads at most, and which: 'head', 'tail' or 'head_tail'
    # (a half of each).
    data.max_tokens = 512
    data.keep = "head_tail"
    # Batches are padded to a multiple of this, in words: smaller pads less, larger compiles
    # fewer shapes where shapes are static.
    data.width_step = 16
    # A text file that is not UTF-8: 'fail', or 'skip' to count and skip the bad reviews.
    data.on_bad_text = "fail"
    # Where tokenised reviews are kept from run to run, and may be deleted; '' keeps none.
    data.cache_dir = "~/.cache/longhaul"
    # Bytes of shards from a bucket that are kept there at most.
    data.cache_bytes = 20 * 10**9
    # For --mode=prepare: reviews of a shard at most. Batches are of one shard each, so it should
    # be thousands of them; two shards of words are in memory at a time.
    data.shard_reviews = 65_536

    config.model = model = ml_collections.ConfigDict()
    # Numbers per word.
    model.embedding_size = 128
    # One LSTM layer per element, its units.
    model.layer_sizes = (128, 64)
    # Reads each review in both directions, with weights of their own.
    model.bidirectional = False
    # What the logit is computed from: the 'last' state, the 'max' or 'mean' over the words, or
    # all three ('concat').
    model.pooling = "last"
    # Share of the embedding's and of each layer's outputs dropped in training; 0.0 is off.
    model.dropout = 0.2
    # Arithmetic of the layers: 'float32', 'bfloat16' or 'float16' (with loss scaling). Weights
    # are float32 always.
    model.precision = "float32"
    # How the recurrence is computed: 'keras' by Keras's layers (cuDNN on GPUs), 'xla' in the form
    # that suits TPUs, 'auto' by what the strategy runs on. The weights are the same.
    model.kernel = "auto"

    config.train = train = ml_collections.ConfigDict()
    train.epochs = 10
    # Reviews per step, over all replicas.
    train.batch_size = 64
    # Each replica's share of a batch goes through the model in this many parts.
    train.micro_batches = 1
    # Steps between two returns to Python.
    train.steps_per_call = 8
    # Labels become (label_smoothing / 2, 1 - label_smoothing / 2); 0.0 is off.
    train.label_smoothing = 0.0
    # Decay per step of the moving average of the weights that is evaluated and kept beside the
    # trained weights, less in the first steps; 0.0 is off.
    train.average_decay = 0.0
    train.log_every_steps = 50
    # Folder of the workdir for TensorBoard's files.
    train.tensorboard_dir = "tensorboard"

    config.optimizer = optimizer = ml_collections.ConfigDict()
    # 'adam', or 'adamw' with decoupled weight decay.
    optimizer.name = "adam"
    optimizer.learning_rate = 1e-3
    # Steps over which the learning rate grows from 0; 0 is off.
    optimizer.warmup_steps = 0
    # After the warm-up: 'constant', or 'cosine' down to 0 at the last step.
    optimizer.schedule = "constant"
    optimizer.beta1 = 0.9
    optimizer.beta2 = 0.999
    optimizer.epsilon = 1e-7
    # For 'adamw': share of a weight that a step takes away, times the learning rate.
    optimizer.weight_decay = 0.0
    # Largest global norm of the gradient; 0.0 is off.
    optimizer.clip_norm = 1.0

    config.strategy = strategy = ml_collections.ConfigDict()
    # 'auto', 'default', 'one_device', 'mirrored', 'multi_worker' or 'tpu'.
    strategy.name = "auto"
    # Splits the CPU into this many devices, to see replicas at work without GPUs; 0 is off.
    strategy.virtual_devices = 0
    # For 'tpu': 'local' on a TPU VM, else the TPU's name, or grpc://HOST:PORT of each of its
    # machines with commas between.
    strategy.tpu = "local"

    config.checkpoint = checkpoint = ml_collections.ConfigDict()
    # Steps between checkpoints within an epoch (each epoch's end has one); 0 is off.
    checkpoint.every_steps = 200
    # Newest checkpoints kept, beside the best by validation accuracy.
    checkpoint.keep_last = 2
    # Seconds for which a bucket that does not answer, or not well, is asked again.
    checkpoint.retry_seconds = 120.0
    # Workdir of another run whose best weights and vocabulary a fresh run starts from; '' is off.
    checkpoint.init_from = ""

    config.evaluation = evaluation = ml_collections.ConfigDict()
    # Reviews per step of an evaluation or prediction, over all replicas.
    evaluation.batch_size = 256
    return config
