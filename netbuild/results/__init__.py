"""What a trained network did: its activity, trials and maps, and files of them."""
