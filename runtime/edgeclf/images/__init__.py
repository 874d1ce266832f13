"""From a photo in any form to network input: the one preprocessing that training and inference share."""
