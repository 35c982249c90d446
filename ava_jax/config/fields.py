"""Every field of a configuration, with its default and meaning.

Files in `configs/` start from `default()` and change some fields. The comments after or
above a field are its meaning in --help-config and docs/configuration.md; `ranges` has
the values that it may have. The defaults are MMAction2's for SlowFast R50 4x16 on AVA
2.1.
"""

import ml_collections


def default() -> ml_collections.ConfigDict:
    """The configuration that every recipe starts from."""
    config = ml_collections.ConfigDict()
    config.name = ""  # MMAction2's config name, or the variant's own
    config.seed = 0  # of the first weights, the order of clips and their augmentation
    config.devices = 0  # expected number of devices of all hosts; 0: any number
    # Initial weights: checkpoint directory, .pth, or name of a published file
    # (ava-jax published list); '' or 'scratch': random.
    config.init_from = ""
    # What --mode=eval scores: 'latest', 'best' (by mAP), or the step of a checkpoint.
    config.checkpoint = "latest"
    # Check data and initial weights, if they are there; compile and run two steps on
    # random data.
    config.dry_run = False
    config.profile = ""  # '10-15': trace these steps with JAX's profiler
    config.model = model()
    config.data = data()
    config.optim = optim()
    config.train = train()
    config.eval = evaluation()
    return config


def model() -> ml_collections.ConfigDict:
    """The network: everything that `ava_jax.models.build_detector` reads."""
    config = ml_collections.ConfigDict()
    config.backbone = "slowfast"  # the network below the RoI head
    # I3D's layers are fixed, and ViT's are those of vit_size: they ignore depth, width
    # and all up to nonlocal_pool.
    config.depth = 50  # layers of the ResNet
    config.width = 64  # channels of the (slow) stem
    # Class 0 is reserved: never scored, never trained. 0: one more than data.class_ids
    # has, or than the highest action id of the label map.
    config.num_classes = 81
    config.multilabel = True  # False: one action a box, softmax instead of sigmoid
    # False: PyTorch files of the model have no output for class 0, and the labels of a
    # box are not made to sum to 1 (MMAction2's MultiSports). num_classes counts class 0
    # all the same.
    config.background_class = True
    config.slow_stride = 8  # SlowFast: frames of the clip for each of the slow path
    # SlowFast: which frames the slow path takes. 'stride': the first of every
    # slow_stride; 'linspace': evenly spread, first and last frame included.
    config.slow_sampling = "stride"
    config.fast_ratio = 8  # SlowFast: slow channels for each fast channel
    config.lateral_kernel = 5  # SlowFast: frames of the kernels of lateral convolutions
    config.lateral_norm = False  # SlowFast: BN and ReLU after lateral convolutions
    config.res5_stride = 1  # 2: the feature map has stride 32, not 16
    config.res5_dilation = 1  # of the 3 x 3 convolutions in res5
    # Number of first blocks of res2..res5 with temporal convolutions; empty: all.
    config.temporal_blocks = ()
    # Blocks of res2..res5 that are followed by a non-local block.
    config.nonlocal_blocks = ((), (), (), ())
    config.nonlocal_mode = "softmax"  # how non-local blocks weigh positions
    config.nonlocal_pool = (1, 2, 2)  # max-pooling in non-local blocks
    # ViT: channels, blocks and heads as in VideoMAE; 'mini' is for small data sets.
    config.vit_size = "base"
    # ViT: fill clips up to whole patches with the mean color; False: cut off the rest.
    config.vit_pad = False
    # ViT: stochastic depth. Share of clips for which the last block's branches are left
    # out in training; it grows linearly from 0 at the first block.
    config.drop_path = 0.0
    config.temporal_pool = "avg"  # pooling of features over time, for the RoI head
    config.roi_resolution = 8  # bins of RoIAlign on each axis
    config.roi_aligned = True  # False: shifted by half a cell, the older convention
    # Share by which boxes are made wider and higher, inside the picture, before they
    # are scored; not in training.
    config.roi_extension = (0.0, 0.0)
    # A network between the features of the boxes and the scores; 'acrn' relates every
    # box to every place of the map; 'fbo_max', 'fbo_avg' and 'fbo_non_local' add those
    # of data.feature_bank.
    config.shared_head = ""
    config.bank_width = 2048  # channels of the long-term features
    config.context = False  # append global features to those of every box
    config.dropout = 0.5  # before the layers of the head
    # Score by two linear layers with a ReLU between them, as wide as their input; not
    # by one.
    config.mlp_head = False
    # How the head's layers start: 'uniform', torch's default; 'xavier' (MMAction2 1.x).
    config.head_init = "uniform"
    config.focal_alpha = 1.0  # factor of the focal loss
    config.focal_gamma = 0.0  # exponent of the focal loss; 0: cross-entropy
    # Factors of the loss of actions that a box has: 'none'; by the n training boxes of
    # each action 'inverse' (1 / n), 'sqrt_inverse' or 'effective_number' (Cui et al.,
    # 1901.05555), scaled to a mean of 1 over the labels; or a number for each action.
    config.class_weights = "none"
    config.dtype = "float32"  # of the computation; parameters are always float32
    # Statistics of BatchNorm: of the global batch, of each device's clips, or frozen.
    config.bn = "global"
    # 0 freezes the stem, k also the first k stages; -1: none. Stages of ViT are
    # quarters of its blocks.
    config.frozen_stages = -1
    # Stages after the stem, numbered from 2 to 5, whose activations are recomputed.
    config.remat = ()
    return config


def data() -> ml_collections.ConfigDict:
    """Paths of the data set, sampling and augmentation of clips."""
    config = ml_collections.ConfigDict()
    config.source = "folder"  # 'mini' and 'vtest' create the data set first
    config.root = "data/ava"  # folder of the data set; other paths are relative to it
    config.frames = "rawframes"  # folder of the frames
    # Storage of the frames: 'folder', a folder of JPEG files for each movie; 'packed',
    # the output of `ava-jax prepare pack`; 'video', a video file for each movie.
    config.frame_store = "folder"
    # File names in frame folders, like 'img_{:05}.jpg' or '{video}_{:06}.jpg'; 'auto'
    # detects them.
    config.frame_name = "auto"
    config.video_start = 0  # timestamp of the first frame of the video files
    # Missing or damaged frames: 'error' stops, 'nearest' uses the nearest good frame.
    config.on_bad_frame = "error"
    # Label map: action ids and names.
    config.labels = "annotations/ava_action_list_v2.1_for_activitynet_2018.pbtxt"
    config.train = split("train")
    config.val = split("val")
    config.fps = 30  # frames a second that were extracted
    config.timestamp_start = 900  # timestamp of the first frame
    # Timestamps are numbers of frames, timestamp_start that of the first one, as in
    # MultiSports; not seconds.
    config.frame_numbers = False
    # Movies called ID_SSSSSS_EEEEEE are clips that begin at second SSSSSS, and whose
    # proposals are filed under ID, as in AVA-Kinetics.
    config.clip_names = False
    # Action ids to learn, mapped to classes 1, 2, ... in this order; empty:
    # class i is action id i.
    config.class_ids = ()
    config.clip_len = 32  # frames of a clip
    config.frame_interval = 2  # distance of its frames
    # Frames by which clips are moved. Of the same key frame MMAction2 1.x reads clips
    # one frame later than 0.x, and one earlier with its AVAKineticsDataset.
    config.frame_shift = 0
    # Training clips a second: 2 or more adds clips between the annotated key frames,
    # for people with an entity id. 0 or 1: annotated key frames only.
    config.clips_per_second = 0
    config.frame_jitter = True  # shift every frame of a training clip at random
    config.train_short_side = (256, 320)  # pixels; drawn from this range, ends included
    config.crop = 256  # pixels; side of the square training clip
    # Instead of train_short_side: height and width of the crop are random choices of
    # these fractions of the frame's short side, like (1.0, 0.875, 0.75, 0.66), at most
    # one place apart; the crop is resized to crop x crop (MMAction2's MultiScaleCrop).
    config.crop_scales = ()
    # Least fraction of a box's area that must be inside the crop for it to be trained.
    # MMAction2 trains every box, even with no area left.
    config.min_visible = 0.0
    config.flip = 0.5  # probability that a training clip is mirrored
    # Actions in a smaller share of the training key frames are seen more often, by
    # repeat-factor sampling (Gupta et al., 1908.03195); 0: every key frame once.
    config.repeat_threshold = 0.0
    config.colour_jitter = False  # MMAction2's ColorJitter(color_space_aug=True)
    config.test_short_side = 256  # pixels; of the whole frames that are scored
    config.mean = (123.675, 116.28, 103.53)  # RGB, subtracted from pixels of 0 to 255
    config.std = (58.395, 57.12, 57.375)  # RGB, by which they are then divided
    config.max_boxes = 32  # boxes a clip, padded to this number
    config.person_score = 0.9  # lowest score of a proposal; the best of a frame is kept
    config.val_person_score = 0.0  # the same in validation; 0: data.person_score
    config.positive_iou = 0.9  # lowest IoU of a proposal that is trained
    # Key frames without a proposal: 'error' stops, 'skip' leaves them out, 'full_frame'
    # gives them one box of the whole frame (as MMAction2 does).
    config.no_proposals = "error"
    # Folder of long-term features, which eval.write_features wrote; empty: none.
    config.feature_bank = ""
    # Long-term features that a clip has room for, in the minute around it.
    config.bank_rows = 900
    config.freeze_motion = False  # repeat the centre frame: a clip without motion
    return config


def split(name: str) -> ml_collections.ConfigDict:
    """Annotation files of one split of AVA 2.1."""
    config = ml_collections.ConfigDict()
    # CSV of annotated boxes.
    config.boxes = f"annotations/ava_{name}_v2.1.csv"
    # CSV of excluded key frames; empty: none.
    config.exclusions = f"annotations/ava_{name}_excluded_timestamps_v2.1.csv"
    # Boxes of people with scores: pickle or CSV.
    config.proposals = f"annotations/ava_dense_proposals_{name}.FAIR.recall_93.9.pkl"
    return config


def optim() -> ml_collections.ConfigDict:
    """The optimiser and its learning rate."""
    config = ml_collections.ConfigDict()
    config.optimizer = "sgd"  # AdamW's betas are 0.9 and 0.999
    config.lr = 0.1125  # at a batch of lr_batch; scaled linearly to train.batch
    config.lr_batch = 72  # clips a step for which lr is meant
    config.momentum = 0.9  # of SGD
    config.nesterov = False  # Nesterov's momentum
    config.weight_decay = 1e-5  # of all that is not frozen; adamw: of kernels alone
    # ViT: each block's learning rate is this fraction of the next one's; the layers
    # after the last block have the full rate. 1: all have it.
    config.layer_decay = 1.0
    config.clip_norm = 40.0  # largest global norm of the gradient; 0: no clipping
    # Of the learning rate. 'cosine' spans the whole run.
    config.schedule = "step"
    config.decay_epochs = (10, 15)  # schedule 'step': epochs at which the rate drops
    config.decay_factor = 0.1  # schedule 'step': factor of every drop
    # Linear warm-up. 'mmcv' (MMAction2 0.x) has the full rate from the first step after
    # it, 'mmengine' (1.x) from its last step; 'mmengine_epochs' (1.x) is constant
    # within an epoch, and has the full rate in its last one.
    config.warmup = "mmcv"
    config.warmup_epochs = 5.0  # length of the warm-up; 0: none
    config.warmup_steps = 0  # if above 0, used instead of warmup_epochs
    config.warmup_ratio = 0.1  # share of the rate at which the warm-up starts
    # ((expression, factor), ...): learning rate factors of the parameters whose name
    # matches the regular expression at its start, like 'backbone/layer1' or '.*bias'.
    config.lr_multipliers = ()
    return config


def train() -> ml_collections.ConfigDict:
    """Length and batch of training; when to log and save."""
    config = ml_collections.ConfigDict()
    config.batch = 72  # global batch: clips a step
    config.accumulate = 1  # sequential parts of a batch, to save memory
    # Decay of an exponential moving average of the parameters, for example 0.999; the
    # average is then evaluated and saved for use. 0: none.
    config.ema = 0.0
    # Batches from which BatchNorm statistics are recomputed before each evaluation
    # (PySlowFast's precise BN); 0: use those of training.
    config.precise_bn_steps = 0
    config.epochs = 20  # passes over the training split
    config.log_every = 20  # steps between lines of the log
    config.save_every_epochs = 1  # epochs between checkpoints
    config.keep = 3  # newest checkpoints to keep, in addition to the best
    return config


def evaluation() -> ml_collections.ConfigDict:
    """When and how the validation split is scored."""
    config = ml_collections.ConfigDict()
    config.every_epochs = 1  # epochs between evaluations; 0: only after training
    # During training, score only key frames whose whole second is a multiple of this
    # (PySlowFast uses 4); 0: all. The last evaluation always scores all.
    config.stride_seconds = 0
    # Test-time augmentation: average the scores over clips of these short sides; empty:
    # data.test_short_side.
    config.short_sides = ()
    # Folder: write the features of all people of both splits, for data.feature_bank of
    # another training, in place of an evaluation; empty: evaluate.
    config.write_features = ""
    config.flip = False  # average the scores over mirrored clips, too
    config.batch = 16  # global batch: clips a step
    config.protocol = "pyslowfast"  # whose mAP is the headline, see docs/evaluation.md
    config.action_threshold = 0.002  # lowest score of a detection that is written
    return config
