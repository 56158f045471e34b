"""The generated faces: who lives there, the head, skin, scene, the renderer, and the data set made of it."""
