"""The container image of the pods, and the project whose registry holds it.

image(Options(project="my-project"))    # 'us-central1-docker.pkg.dev/my-project/longhaul/...'
"""

from deploy import prerequisites
from deploy.google_project import project_from_environment
from deploy.targets.gke.options import Options
from storage.errors import UserError

# Arguments of deploy/payload/Dockerfile: TensorFlow for TPUs and what goes with it, in the versions
# of deploy/payload/tpu_requirements.txt.
TPU_BUILD = {"TENSORFLOW": "tensorflow-tpu==2.20.0 libtpu==0.0.21", "TENSORBOARD": "2.20.0"}


def image(options: Options) -> str:
    """Returns the image's name. Raises UserError when no project is known to look for it in."""
    if options.image:
        return options.image
    project = project_from_environment(options.project)
    if not project:
        raise UserError(
            "--image: missing, and no project to look for it in; give --image or --project, or set "
            "GOOGLE_CLOUD_PROJECT"
        )
    tag = "tf2.20-tpu" if options.tpu_topology else "tf2.21"
    return f"{options.region}-docker.pkg.dev/{project}/longhaul/longhaul:{tag}"


def image_prerequisites(options: Options) -> list[str]:
    """Returns the lines with the commands that build and push the image."""
    return prerequisites.image(image(options), TPU_BUILD if options.tpu_topology else None)
