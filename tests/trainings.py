"""Options of the trainings that tests share."""

from edgeclf_training.config.options import TrainOptions

QUICK = TrainOptions(arch="cnn4", weights="none", epochs=4, image_size=64, batch_size=8, workers=0, head_lr=2e-3)
