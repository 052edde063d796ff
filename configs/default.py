"""The default config: every field of a run, with its meaning and unit.

    python -m trainer --config=configs/default.py --workdir=runs/default

The other configs override some of the fields, and so does the command line, a tuple by
`--config.model.layer_sizes=128,64`. A field is switched off by 0, 0.0 or '' where its comment says
so.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns a complete config: the tutorial's network on the embedded sample corpus."""
    config = ml_collections.ConfigDict()
    # Seed of the initial weights, the order of the reviews and the dropout masks.
    config.seed = 0
    config.data = _data()
    config.model = _model()
    config.objective = _objective()
    config.train = _train()
    config.optimizer = _optimizer()
    config.strategy = _strategy()
    config.checkpoint = _checkpoint()
    config.evaluation = _evaluation()
    config.serving = _serving()
    return config


def _data() -> ml_collections.ConfigDict:
    data = ml_collections.ConfigDict()
    # Where the reviews are: 'sample', the embedded corpus; 'tfds:NAME', a TensorFlow Datasets set;
    # 'files:PATH', a folder or file of reviews (see README.md); or 'shards:URL', a folder or gs://
    # URL that --mode=prepare has filled from one of these.
    data.source = "sample"
    # For 'tfds:': the folder with TFDS's data sets; '' is TFDS's default ($TFDS_DATA_DIR).
    # For 'files:' and 'shards:': the folder that a relative path starts from; '' is the working
    # folder.
    data.dir = ""
    # For 'tfds:': the splits to read, in TFDS's notation ('train[:10%]' works).
    data.train_split = "train"
    data.test_split = "test"
    # Split of reviews without labels; '' is off. Labels that they have are not read.
    data.unlabelled_split = ""
    # How many of them a step reads beside its labelled reviews, over all replicas. 0 puts them
    # among the labelled ones, in the same batches, which suits a language model.
    data.unlabelled_batch_size = 0
    # Fraction of the training split that is held out for validation, always the same reviews.
    data.validation_share = 0.08
    # Whether ! ? . , ; : ( ) are tokens too; otherwise all tokens are words and emoji.
    data.punctuation = False
    # Number of token ids: one for padding, one for unknown words, the rest for the most frequent
    # words. Fewer where the reviews, the shards or the run of `checkpoint.init_from` have fewer.
    data.vocabulary_size = 20_000
    # Longest review that the model reads, in tokens. Of a longer one it reads the first ('head'),
    # the last ('tail'), or half from each end ('head_tail').
    data.max_tokens = 512
    data.keep = "head_tail"
    # Batches are padded to a multiple of this many token slots. A small one pads less; a large one
    # compiles fewer shapes on devices with static shapes.
    data.width_step = 16
    # For 'files:': the columns (of JSON: the keys) that hold a review's text and its label.
    data.text_column = "text"
    data.label_column = "label"
    # With two labels: the one whose probability is predicted. '' takes 'positive' ('pos', '1') of
    # 'positive' and 'negative' ('neg', '0'); other names need an answer here.
    data.positive_label = ""
    # What to do with text that is not UTF-8: 'fail', or 'skip' to leave out and count such reviews.
    data.on_bad_text = "fail"
    # Folder of the cache of tokenised reviews, which all runs share and you may delete; '' is off.
    # In a folder of several users each reads only their own files and those of root.
    data.cache_dir = "~/.cache/longhaul"
    # Largest size of the shards of buckets in that cache, in bytes.
    data.cache_bytes = 20 * 10**9
    # For --mode=prepare: the largest number of reviews in a shard. A batch comes from one shard, so
    # a shard should hold thousands of reviews. Training keeps the tokens of two shards in memory.
    data.shard_reviews = 65_536
    return data


def _model() -> ml_collections.ConfigDict:
    model = ml_collections.ConfigDict()
    # Width of the embedding: numbers per token.
    model.embedding_size = 128
    # File of word vectors that the embedding of a new run starts from, in word2vec's text format or
    # GloVe's, such as --mode=vectors writes; words that it lacks start at random. '' is off.
    model.vectors = ""
    # Units of each LSTM layer, in the order in which the layers read.
    model.layer_sizes = (128, 64)
    # Reads each review in both directions, each with its own weights.
    model.bidirectional = False
    # What the logit is computed from: the 'last' state, the 'max' or 'mean' of the states over the
    # tokens, all three ('concat'), or a mean with learned weights ('attention').
    model.pooling = "last"
    # Layers read reviews in segments of `segment_tokens` tokens, side by side; 0 reads each as a
    # whole. A segment begins with the last `segment_overlap` tokens of the one before, as a run-up.
    model.segment_tokens = 0
    model.segment_overlap = 0
    # The wide part, a linear model of words and phrases beside the network: its number of weights
    # for each label, a power of two; 0 is off. The longest phrase in tokens, and the fraction of
    # the tokens whose phrases training drops.
    model.wide_buckets = 0
    model.wide_ngrams = 2
    model.wide_dropout = 0.0
    # Fraction of the outputs of the embedding and of each layer that training drops; 0.0 is off.
    model.dropout = 0.2
    # Fraction of the known words that training replaces by the unknown word; 0.0 is off.
    model.word_dropout = 0.0
    # Fraction of the words of a review that training reads without their embedding, wherever they
    # occur in it; 0.0 is off.
    model.embedding_dropout = 0.0
    # Fraction of the layers' recurrent weights that each step of training drops; 0.0 is off.
    model.recurrent_dropout = 0.0
    # Number format in which the layers compute: 'float32', 'bfloat16' or 'float16' (with loss
    # scaling). Weights are always float32.
    model.precision = "float32"
    # How the recurrence is computed: 'keras' by Keras's layers (cuDNN on GPUs), 'cpu' and 'xla' in
    # forms for CPUs and TPUs, 'auto' by the devices of the strategy. The weights are the same.
    model.kernel = "auto"
    return model


def _objective() -> ml_collections.ConfigDict:
    objective = ml_collections.ConfigDict()
    # What the network learns: 'classification' of reviews by their labels; or 'language_model',
    # each next word of a review, and with model.bidirectional each word before too. A classifier
    # can start from that with checkpoint.init_from.
    objective.name = "classification"
    # For 'language_model': number of words that training compares each word with, drawn again in
    # each step, frequent ones more often; 0 takes the whole vocabulary. The training loss, as that
    # of a choice among fewer words, is then below the validation loss, which is of all.
    objective.sampled_words = 1000
    # Factors of further loss terms of the classification; 0.0 is off. 'adversarial': the same loss
    # where the embeddings are perturbed so that it rises most. 'virtual_adversarial': how much a
    # perturbation changes the prediction. 'entropy': how unsure the prediction is. The last two
    # also learn from reviews without labels.
    objective.terms = ml_collections.ConfigDict()
    objective.terms.adversarial = 0.0
    objective.terms.virtual_adversarial = 0.0
    objective.terms.entropy = 0.0
    # For 'language_model': 'distant' makes each place also predict a word that follows soon; rare
    # ones count most, so that the states carry what the text is about.
    objective.terms.distant = 0.0
    # For 'distant': the number of words that it is drawn from.
    objective.distance = 20
    # Norm of the perturbation of a review, in standard deviations of the embedding.
    objective.perturbation = 5.0
    # Epochs before these terms join. A network that knows nothing yet doesn't learn with them.
    objective.terms_after_epochs = 0
    return objective


def _train() -> ml_collections.ConfigDict:
    train = ml_collections.ConfigDict()
    # Number of times that every training review is seen.
    train.epochs = 10
    # Epochs without a better validation score after which training ends early; 0 is off.
    train.patience = 0
    # Reviews per step, over all replicas.
    train.batch_size = 64
    # Number of slices of a batch, over all replicas: a power of two. Each replica computes its
    # slices side by side on the cores of a CPU, elsewhere one after the other, which takes less
    # memory than one large slice. The sums of the slices are added in a fixed order, so that the
    # same slices give the same bits on any number of replicas. 0 takes one slice a replica, but two
    # on a single CPU.
    train.slices = 0
    # Steps that run in TensorFlow's graph before the loop returns to Python.
    train.steps_per_call = 8
    # Labels become (label_smoothing / 2, 1 - label_smoothing / 2); 0.0 is off.
    train.label_smoothing = 0.0
    # Decay per step of a moving average of the weights, smaller in the first steps. Evaluation and
    # prediction use the average; checkpoints hold it beside the trained weights. 0.0 is off.
    train.average_decay = 0.0
    # Steps between two lines of training metrics.
    train.log_every_steps = 50
    # Where metrics go beside metrics.jsonl: 'tensorboard', 'wandb' and 'mlflow', or several with
    # commas between; '' is off.
    train.writers = "tensorboard"
    # Name of the folder for TensorBoard's files, in the workdir.
    train.tensorboard_dir = "tensorboard"
    # Writes histograms of the weights for TensorBoard at the end of each epoch.
    train.histograms = False
    # First and last step of a profile for TensorBoard, such as (100, 110); () is off.
    train.profile_steps = ()
    return train


def _optimizer() -> ml_collections.ConfigDict:
    optimizer = ml_collections.ConfigDict()
    # 'adam', or 'adamw' with decoupled weight decay.
    optimizer.name = "adam"
    # Learning rate after the warm-up.
    optimizer.learning_rate = 1e-3
    # Steps over which the learning rate grows linearly from 0; 0 is off.
    optimizer.warmup_steps = 0
    # The learning rate after the warm-up: 'constant', or a 'cosine' down to 0 at the last step.
    optimizer.schedule = "constant"
    # Each layer further below the head trains at a learning rate multiplied by this once more: the
    # head and the parts beside it at the whole rate, the last LSTM layer at layer_decay times it,
    # and the embedding at the lowest rate. 1.0 is off.
    optimizer.layer_decay = 1.0
    # Steps after which another layer joins the training: at first only the head and the parts
    # beside it are trained, then the last LSTM layer as well, and so on down to the embedding. With
    # more steps than the run has, the layers below stay as they are. 0 is off.
    optimizer.unfreeze_steps = 0
    # Adam's decay rates of the gradient's first and second moments, and the constant that is added
    # to the denominator (https://arxiv.org/abs/1412.6980).
    optimizer.beta1 = 0.9
    optimizer.beta2 = 0.999
    optimizer.epsilon = 1e-7
    # For 'adamw': each step reduces a weight by this fraction of it, times the learning rate.
    optimizer.weight_decay = 0.0
    # Largest global norm of the gradient; a longer one is scaled down to it. 0.0 is off.
    optimizer.clip_norm = 1.0
    return optimizer


def _strategy() -> ml_collections.ConfigDict:
    strategy = ml_collections.ConfigDict()
    # TensorFlow's distribution strategy: 'auto', 'default', 'one_device', 'mirrored',
    # 'multi_worker' or 'tpu'. 'auto' takes the one that fits the machines and devices it finds.
    strategy.name = "auto"
    # Splits the CPU into this many devices, to try replicas without GPUs; 0 is off.
    strategy.virtual_devices = 0
    # GPUs that each worker must find, or TPU cores of the whole TPU; 0 accepts any number.
    strategy.accelerators = 0
    # For 'tpu': 'local' on a TPU VM; elsewhere the TPU's name, or grpc://HOST:PORT of each of its
    # machines, separated by commas.
    strategy.tpu = "local"
    # How replicas add up their gradients: 'tree' in a fixed order, so that the bits are the same on
    # any number of replicas; 'ring' in the order of the collective operation, which sends less
    # between many replicas, but whose bits depend on their number. TPUs always take their own
    # order.
    strategy.reduction = "tree"
    # Threads of TensorFlow within an operation, and for operations side by side. 0 is a choice: on
    # CPUs 1 within an operation, and as many side by side as there are cores. Others than 1 within
    # an operation may change the bits.
    strategy.intra_op_threads = 0
    strategy.inter_op_threads = 0
    # For several workers: how long a worker waits at the start for the others, in seconds.
    strategy.connect_seconds = 600.0
    return strategy


def _checkpoint() -> ml_collections.ConfigDict:
    checkpoint = ml_collections.ConfigDict()
    # Steps between checkpoints within an epoch; 0 saves only at the end of each epoch.
    checkpoint.every_steps = 200
    # Number of newest checkpoints that are kept, beside the best by the objective's score.
    checkpoint.keep_last = 2
    # How long failed requests to a bucket are retried, in seconds.
    checkpoint.retry_seconds = 120.0
    # Workdir of another run, whose vocabulary, labels and best weights a new run starts from; of a
    # run with another objective, pooling or wide part, the weights of embedding and LSTM layers.
    # The labels of a language model are not taken over. '' is off.
    checkpoint.init_from = ""
    return checkpoint


def _evaluation() -> ml_collections.ConfigDict:
    evaluation = ml_collections.ConfigDict()
    # Reviews per step of an evaluation or prediction, over all replicas.
    evaluation.batch_size = 256
    # Writes test_results.npz and report.html at the end of a run.
    evaluation.report = True
    return evaluation


def _serving() -> ml_collections.ConfigDict:
    serving = ml_collections.ConfigDict()
    # Largest request, in bytes, and the most texts in one.
    serving.max_body_bytes = 1_048_576
    serving.max_texts = 256
    # Largest text, in bytes of UTF-8.
    serving.max_text_bytes = 100_000
    # Requests that are answered at the same time; more are refused with code 503.
    serving.max_requests = 256
    # How long a request may take, its transfer included, in seconds.
    serving.timeout_seconds = 10.0
    # Texts of several requests are predicted together: at most this many, and none waits longer
    # than this many milliseconds for others.
    serving.batch_size = 64
    serving.batch_milliseconds = 2.0
    return serving
