"""What the views of training share: state that is put back, data in parts, drawing; and the search for settings."""
