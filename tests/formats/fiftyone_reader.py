"""Run where FiftyOne is installed: imports a data set, prints what FiftyOne has of it as JSON, and exports it again.

python fiftyone_reader.py FOLDER EXPORT
"""

import json
import sys

import fiftyone as fo

FIELDS = ("amodal", "visible")


def area(detection: fo.Detection, image: fo.ImageMetadata) -> int:
    """Pixels of the mask as FiftyOne draws it."""
    drawn = detection.to_segmentation(frame_size=(image.width, image.height), target=1).mask
    return int((drawn > 0).sum())


given, exported = sys.argv[1:]
dataset = fo.Dataset.from_dir(dataset_dir=given, dataset_type=fo.types.FiftyOneDataset)
dataset.add_dynamic_sample_fields()
found = {
    sample.filename: {
        "size": [sample.metadata.height, sample.metadata.width],
        "classes": dataset.default_classes,
        "areas": {field: [area(d, sample.metadata) for d in sample[field].detections] for field in FIELDS},
        **{
            field: [
                [d.label, d.index, d.occlusion_rate, d.bounding_box, d.mask.astype(int).tolist()]
                for d in sample[field].detections
            ]
            for field in FIELDS
        },
    }
    for sample in dataset
}
dataset.export(export_dir=exported, dataset_type=fo.types.FiftyOneDataset)
print("\n" + json.dumps(found))
